"""The upstream clusters: the platform's web server, and each lifted-out service with the platform as fallback."""

from __future__ import annotations

from typing import Any

from landcontracts.gateway.deployment import Deployment, Endpoint
from landcontracts.gateway.envoy.filters import PLATFORM, typed

CONNECT_SECONDS = 2
# Below the web server's own idle timeout, so that no request is sent on a connection that is being closed.
IDLE_SECONDS = 15
HEALTH = {"path": "/healthz", "every": "2s", "timeout": "1s"}


def clusters(deployment: Deployment) -> list[dict[str, Any]]:
    """One cluster per upstream, in the order of their names."""
    upstreams = {PLATFORM: [deployment.upstream]}
    # Where a lifted-out service does not answer, the platform does: locally, or with its own refusal.
    upstreams |= {service: [address, deployment.upstream] for service, address in sorted(deployment.apart.items())}
    return [_cluster(name, addresses, deployment) for name, addresses in upstreams.items()]


def _cluster(name: str, addresses: list[Endpoint], deployment: Deployment) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    **({"priority": priority} if priority else {}),
                    "lb_endpoints": [{"endpoint": {"address": _address(address)}}],
                }
                for priority, address in enumerate(addresses)
            ],
        },
        # Liveness, not readiness: the application itself reports missing dependencies, request by request.
        "health_checks": [
            {
                "timeout": HEALTH["timeout"],
                "interval": HEALTH["every"],
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": HEALTH["path"], "host": deployment.host},
            }
        ],
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 512, "max_pending_requests": 512, "max_requests": 1024, "max_retries": 16}
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": f"{IDLE_SECONDS}s"},
                explicit_http_config={"http_protocol_options": {}},
            )
        },
    }


def _address(address: Endpoint) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}

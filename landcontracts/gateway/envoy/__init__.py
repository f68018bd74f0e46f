"""Renders Envoy's static configuration (v3 API; tested with 1.40): one listener, the table's routes, one cluster per
upstream.

A request passes, in this order: CORS, its client's limits, the token's check, the body's limit, the route. The limits
come before the token, so that guessing is counted.
"""

from __future__ import annotations

from typing import Any

from landcontracts.gateway.deployment import Deployment, Endpoint
from landcontracts.gateway.envoy.answers import local_replies
from landcontracts.gateway.envoy.clusters import clusters
from landcontracts.gateway.envoy.filters import http_filters, typed
from landcontracts.gateway.envoy.routes import virtual_host

MAX_CONNECTIONS = 10_000
HEADERS_SECONDS = 10
# The log line of a request, without its query, since people search by names.
LOG = {
    "at": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "trace": "%REQ(TRACEPARENT)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH)%",
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "why": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "upstream": "%UPSTREAM_HOST%",
    "answered_by": "%RESP(X-ANSWERED-BY)%",
}


def render(deployment: Deployment) -> dict[str, Any]:
    """The whole configuration."""
    return {
        "admin": {"address": socket_address(deployment.admin)},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=MAX_CONNECTIONS,
                    ),
                }
            ]
        },
        "static_resources": {"listeners": [_listener(deployment)], "clusters": clusters(deployment)},
    }


def socket_address(address: Endpoint) -> dict[str, Any]:
    """An address in Envoy's format."""
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _listener(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": "public",
        "address": socket_address(deployment.listen),
        "per_connection_buffer_limit_bytes": 65_536,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": _http(deployment)}]}
        ],
    }


def _http(deployment: Deployment) -> dict[str, Any]:
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="public",
        **_identification(deployment),
        # Paths are normalised before they are compared: decoded, without dots; an escaped slash is refused.
        normalize_path=True,
        merge_slashes=False,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        server_header_transformation="PASS_THROUGH",
        request_headers_timeout=f"{HEADERS_SECONDS}s",
        stream_idle_timeout=f"{deployment.idle_seconds:g}s",
        common_http_protocol_options={
            "idle_timeout": "300s",
            # WSGI does not distinguish X_Seam_Caller from X-Seam-Caller.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        http2_protocol_options={"max_concurrent_streams": 100},
        local_reply_config=local_replies(deployment),
        access_log=[
            {
                "name": "envoy.access_loggers.stdout",
                "typed_config": typed(
                    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", log_format={"json_format": LOG}
                ),
            }
        ],
        route_config={"name": "table", "virtual_hosts": [virtual_host(deployment)]},
        http_filters=http_filters(deployment),
    )


def _identification(deployment: Deployment) -> dict[str, Any]:
    """The client's address and the request's id."""
    return {
        # The client is the peer, or the last address that a trusted proxy has added; the client's own header is passed
        # on unread.
        "use_remote_address": True,
        "xff_num_trusted_hops": deployment.trusted_hops,
        # No address is internal, so that x-envoy- headers of all clients are dropped.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "request_id_extension": {
            "typed_config": typed(
                "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                pack_trace_reason=False,
                use_request_id_for_trace_sampling=False,
            )
        },
    }

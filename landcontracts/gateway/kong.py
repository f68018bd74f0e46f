"""Kong's declarative file (format 3.0, DB-less, open-source plugins of Kong 3.9).

Kong's `jwt` plugin does not compare `iss` and `aud`. It finds the key by the token's `kid`, so that several keys are
valid while one replaces another; the file has only our issuer's keys, and the application compares issuer and audience
of every token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from landcontracts.gateway.deployment import Deployment, Endpoint, Rate
from landcontracts.gateway.keys import PublicKey
from landcontracts.gateway.refusals import CONTENT_TYPE, LANGUAGES, UNAUTHENTICATED
from landcontracts.gateway.table import ROUTES, Body, Limit, Patience, Route

PLATFORM = "platform"
ISSUER, REFUSED = "landcontracts", "refused-token"
MILLISECONDS = 1000
CONNECT_MS = 2_000
# The header distinguishes routes as well. Kong prefers a route with a header to any without, regardless of the path; so
# each API route is rendered twice, and a sign-in route is never mistaken for one that checks a token.
WITH_TOKEN, WITHOUT = "token", "plain"
BEARER = r"~*^\s*bearer\b"


def render(deployment: Deployment, keys: Sequence[PublicKey] = ()) -> dict[str, Any]:
    """The whole file. Without keys every token is refused, and requests without a token are not."""
    return {
        "_format_version": "3.0",
        "upstreams": [
            _upstream(name, address, deployment)
            for name, address in [(PLATFORM, deployment.upstream), *sorted(deployment.apart.items())]
        ],
        "services": list(_services(deployment)),
        "consumers": [_issuer(keys), _refused()],
        "plugins": [
            {
                "name": "correlation-id",
                "config": {"header_name": "X-Request-ID", "generator": "uuid", "echo_downstream": True},
            }
        ],
    }


def _upstream(name: str, address: Endpoint, deployment: Deployment) -> dict[str, Any]:
    return {
        "name": name,
        "host_header": deployment.host,  # for the health check: clients' requests keep their own
        "targets": [{"target": str(address)}],
        "healthchecks": {
            "active": {
                "type": "http",
                "http_path": "/healthz",
                "timeout": 1,
                "healthy": {"interval": 2, "successes": 1},
                "unhealthy": {"interval": 2, "tcp_failures": 2, "timeouts": 2, "http_failures": 2},
            }
        },
    }


def _services(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """One service for each upstream, owner and kind of limits, because Kong has limits and timeouts at its services."""
    groups: dict[tuple[str, str, Limit, Patience, Body], list[dict[str, Any]]] = {}
    for route in ROUTES:
        for variant in (WITH_TOKEN, WITHOUT) if route.is_api else (WITHOUT,):
            # A lifted-out service authenticates people by their token alone; a browser's session belongs to the
            # platform.
            apart = route.service in deployment.apart and variant == WITH_TOKEN
            key = (route.service if apart else PLATFORM, route.service, route.limit, route.patience, route.body)
            groups.setdefault(key, []).append(_route(route, variant))
    for (upstream, owner, limit, patience, body), routes in sorted(groups.items()):
        suffix = "" if upstream == PLATFORM else "-apart"
        yield _service(
            f"{owner}-{limit}-{patience}-{body}{suffix}", upstream, (limit, patience, body), routes, deployment
        )


def _service(
    name: str,
    upstream: str,
    limits: tuple[Limit, Patience, Body],
    routes: list[dict[str, Any]],
    deployment: Deployment,
) -> dict[str, Any]:
    limit, patience, body = limits
    # Kong's timeout is the time between two reads of an answer, so a long answer needs no separate bound.
    wait = int((deployment.patience[patience] or deployment.idle_seconds) * MILLISECONDS)
    plugins = [_limit(deployment.limits[limit]), _size(deployment.bodies[body])]
    if deployment.origins and any(route["name"].startswith("api") for route in routes):
        plugins.append(_cors(deployment))
    return {
        "name": name,
        "protocol": "http",
        "host": upstream,
        "port": 80,  # the targets have their own
        "connect_timeout": CONNECT_MS,
        "read_timeout": wait,
        "write_timeout": int(deployment.idle_seconds * MILLISECONDS),
        "retries": 1,
        "plugins": plugins,
        "routes": routes,
    }


def _route(route: Route, variant: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": f"{route.label}-{variant}" if route.is_api else route.label,
        "protocols": ["http", "https"],
        "paths": [f"~{route.regex}$"],
        "regex_priority": len(ROUTES) - ROUTES.index(route),
        "strip_path": False,
        "preserve_host": True,
        # A file is passed on as it arrives.
        "request_buffering": route.body is not Body.FILE,
        "response_buffering": route.patience is not Patience.STREAM,
    }
    if variant == WITH_TOKEN:
        entry["headers"] = {"Authorization": [BEARER]}
        if route.checks_token:
            entry["plugins"] = [_token()]
    return entry


def _token() -> dict[str, Any]:
    return {
        "name": "jwt",
        "config": {
            "key_claim_name": "kid",
            "claims_to_verify": ["exp"],
            "header_names": ["authorization"],
            "uri_param_names": [],
            "cookie_names": [],
            "run_on_preflight": False,
            # Kong would answer before it counts. With this consumer the limit comes first, then the consumer's own 401.
            "anonymous": REFUSED,
        },
    }


def _issuer(keys: Sequence[PublicKey]) -> dict[str, Any]:
    # The schema requires a secret, which only the HS algorithms use; a token's algorithm must be that of its key.
    unused = "none-RS256-is-checked-by-the-public-key"
    secrets = [
        {"key": key.kid, "algorithm": key.algorithm, "secret": unused, "rsa_public_key": key.pem} for key in keys
    ]
    return {"username": ISSUER, **({"jwt_secrets": secrets} if secrets else {})}


def _refused() -> dict[str, Any]:
    body = UNAUTHENTICATED.problem(LANGUAGES[0], "")
    config = {
        "status_code": UNAUTHENTICATED.status,
        "content_type": CONTENT_TYPE,
        "body": json.dumps(body, ensure_ascii=False),
    }
    return {"username": REFUSED, "plugins": [{"name": "request-termination", "config": config}]}


def _limit(rate: Rate) -> dict[str, Any]:
    """Limit by address, because all tokens have one issuer and so one consumer."""
    periods = {1: "second", 60: "minute", 3600: "hour"}
    seconds = rate.seconds if rate.seconds in periods else 60
    allowed = max(round(rate.requests * seconds / rate.seconds), 1)
    return {
        "name": "rate-limiting",
        "config": {
            periods[seconds]: allowed,
            "limit_by": "ip",
            "policy": "local",  # the only one without a database or Redis
            "fault_tolerant": True,
            "error_code": 429,
            "error_message": "Too many requests",
        },
    }


def _size(allowed: int) -> dict[str, Any]:
    config = {"allowed_payload_size": allowed, "size_unit": "bytes", "require_content_length": False}
    return {"name": "request-size-limiting", "config": config}


def _cors(deployment: Deployment) -> dict[str, Any]:
    """Used only where sites are listed, because without any the plugin would allow all."""
    return {
        "name": "cors",
        "config": {
            "origins": list(deployment.origins),
            "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            "headers": list(
                chain(
                    ("Authorization", "Content-Type", "Accept-Language"),
                    ("Idempotency-Key", "X-Request-ID", "traceparent"),
                )
            ),
            "exposed_headers": ["X-Request-ID", "X-Answered-By", "Retry-After", "WWW-Authenticate"],
            "max_age": 600,
            "credentials": False,
            "preflight_continue": False,
        },
    }

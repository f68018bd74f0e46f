"""The table as Envoy's routes, the most specific first, and a catch-all route for unknown paths last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from landcontracts.gateway.deployment import Deployment
from landcontracts.gateway.envoy.filters import BUFFER, CORS, PLATFORM, REQUIREMENT, TOKENS, cors, counted, typed
from landcontracts.gateway.refusals import NOT_FOUND, TOO_LARGE
from landcontracts.gateway.table import ROUTES, Body, Limit, Route

NOWHERE = "nowhere"
LARGEST = 2**63 - 1
# Only calling services may send these, and they call directly.
FROM_OUTSIDE = ("x-seam-caller", "x-seam-time", "x-seam-signature")
WITH_TOKEN = {"name": "authorization", "present_match": True}
COMMAND = {"name": ":method", "string_match": {"safe_regex": {"regex": "POST|PUT|PATCH|DELETE"}}}
KEYED = {"name": "idempotency-key", "present_match": True}
NOT_KEYED = {**KEYED, "invert_match": True}


def virtual_host(deployment: Deployment) -> dict[str, Any]:
    """Everything public under any host name, which the application checks."""
    return {
        "name": "public",
        "domains": ["*"],
        "request_headers_to_remove": list(FROM_OUTSIDE),
        "retry_policy": _retries_of_safe_requests(),
        "routes": [entry for route in ROUTES for entry in _entries(route, deployment)] + [_nowhere()],
    }


def _entries(route: Route, deployment: Deployment) -> Iterator[dict[str, Any]]:
    if route.body is Body.FILE:
        yield _too_large(route, deployment)
    if route.service in deployment.apart:
        # A lifted-out service authenticates people by their token alone; a browser's session belongs to the platform.
        once = _entry(route, deployment, route.service, f"{route.label}-apart-once", [WITH_TOKEN, COMMAND, NOT_KEYED])
        # A request that is not idempotent is sent to the other upstream only if it was not sent at all.
        once["route"]["retry_policy"] = _retries("connect-failure,refused-stream,reset-before-request")
        yield once
        yield _entry(route, deployment, route.service, f"{route.label}-apart", [WITH_TOKEN])
    yield _entry(route, deployment, PLATFORM, route.label)


def _entry(
    route: Route, deployment: Deployment, cluster: str, name: str, headers: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "match": {**_path(route), **({"headers": headers} if headers else {})},
        "route": {
            "cluster": cluster,
            "timeout": f"{deployment.patience[route.patience]:g}s",
        },
        "metadata": counted(route.limit),
    }
    if own := _own_filters(route, deployment):
        entry["typed_per_filter_config"] = own
    if CORS in own:
        # Answers differ by origin, so a cache in between must store them separately (Fetch standard, CORS protocol and
        # HTTP caches).
        vary = {"header": {"key": "vary", "value": "Origin"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
        entry["response_headers_to_add"] = [vary]
    return entry


def _path(route: Route) -> dict[str, Any]:
    if route.exactly or "{}" in route.path:
        return {"safe_regex": {"regex": route.regex}}
    return {"path_separated_prefix": route.path}


def _own_filters(route: Route, deployment: Deployment) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if route.is_api and deployment.origins:
        filters[CORS] = cors(deployment)
    if route.checks_token:
        kind = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"
        filters[TOKENS] = typed(kind, requirement_name=REQUIREMENT)
    if route.body is Body.FILE:
        filters |= _unbuffered()
    return filters


def _unbuffered() -> dict[str, Any]:
    """Disable buffering: the body is passed on as it arrives, or not awaited at all."""
    return {BUFFER: typed("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", disabled=True)}


def _retries(retry_on: str, **only: Any) -> dict[str, Any]:
    """At most two retries; at another upstream first, if there is one."""
    return {
        "retry_on": retry_on,
        "num_retries": 2,
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(
                "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", update_frequency=1
            ),
        },
        **only,
    }


def _retries_of_safe_requests() -> dict[str, Any]:
    """Retries of reads and of commands with a key, which run once, even if the connection broke after sending."""
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    return _retries("connect-failure,refused-stream,reset", retriable_request_headers=[reads, KEYED])


def _too_large(route: Route, deployment: Deployment) -> dict[str, Any]:
    """Refuse a file by its Content-Length, before its first byte."""
    allowed = deployment.bodies[Body.FILE]
    length = {"name": "content-length", "range_match": {"start": allowed + 1, "end": LARGEST}}
    return {
        "name": f"{route.label}-too-large",
        "match": {**_path(route), "headers": [length]},
        "direct_response": {"status": TOO_LARGE.status},
        "metadata": counted(route.limit),
        "typed_per_filter_config": _own_filters(route, deployment),
    }


def _nowhere() -> dict[str, Any]:
    return {
        "name": NOWHERE,
        "match": {"prefix": "/"},
        "direct_response": {"status": NOT_FOUND.status},
        "metadata": counted(Limit.NOWHERE),
        "typed_per_filter_config": _unbuffered(),
    }

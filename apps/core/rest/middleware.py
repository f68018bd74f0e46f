"""Identifies, measures and logs every request, begins its trace, and accepts API paths with or without a last slash."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Histogram

from apps.core.interface.context import new_trace
from apps.core.observability import identity, spans
from apps.core.rest import paths
from apps.core.seam.client import answered_by

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Machines request these several times a minute: neither traced nor logged at INFO.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
requests_total = Counter("http_requests_total", "HTTP requests by what answered", ("service", "status"))
request_seconds = Histogram("http_request_seconds", "Time to answer an HTTP request", ("service",))
log = structlog.get_logger(__name__)


class RequestIdentity:
    """Sets `request.request_id` and `request.trace`, to which log lines and spans of the request refer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request.path_info = paths.usual(request.path_info)
        trace, span = _trace_of(request)
        header = request.headers.get("X-Request-ID", "")
        request_id = header if _SAFE_ID.fullmatch(header) else trace[3:19]
        # The edge reads them back; Django's request has no typed attributes for them.
        request.trace, request.request_id = trace, request_id  # type: ignore[attr-defined]
        token = identity.begin(request_id, trace, span_id="" if span is None else trace[36:52])
        status, answered = 500, {}
        try:
            with answered_by.recorded() as answered:
                response = self._get_response(request)
            status = response.status_code
        finally:
            seconds = time.perf_counter() - started
            # The session's user, if the view has loaded it: in the admin nothing else records the actor.
            identity.note_actor(getattr(getattr(request, "_cached_user", None), "pk", None))
            _log_access(request, status, seconds, answered)
            actor = identity.fields().get("actor", "")
            identity.end(token)
            if span is not None:
                _end(span, request, status, actor)
        # Django would log a refusal again after the identity has ended, in a line without request id or actor.
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
        response["X-Request-ID"] = request_id
        if answered:
            response["X-Answered-By"] = ", ".join(f"{name}={process}" for name, process in answered.items())
        service = _service_of(request)
        requests_total.labels(service, status).inc()
        request_seconds.labels(service).observe(seconds)
        return response


def _trace_of(request: HttpRequest) -> tuple[str, spans.Span | None]:
    sent = request.headers.get("traceparent", "")
    sent = sent if spans.TRACEPARENT.fullmatch(sent) else ""
    own = "" if sent else new_trace()
    if not spans.is_tracing() or request.path_info in PROBES:
        return sent or own, None
    return spans.arrived(_method_of(request), sent, own, {"http.request.method": _method_of(request)})


def _end(span: spans.Span, request: HttpRequest, status: int, actor: str) -> None:
    """End the span with the route and status; the path, which holds ids, and the query are not recorded."""
    route = _route_of(request)
    attributes: dict[str, spans.Value] = {"http.response.status_code": status, "seam.service": _service_of(request)}
    if route:
        attributes["http.route"] = route
    if actor:
        attributes["enduser.pseudo.id"] = actor
    name = f"{_method_of(request)} {route}".strip()
    span.end(attributes, name=name, error=str(status) if status >= 500 else "")


def _log_access(request: HttpRequest, status: int, seconds: float, answered: dict[str, str]) -> None:
    """Write the access line: at INFO, at WARNING for a server error, at DEBUG for probes."""
    write = log.warning if status >= 500 else log.debug if request.path_info in PROBES else log.info
    write(
        "request",
        method=_method_of(request),
        route=_route_of(request),
        status=status,
        ms=round(seconds * 1000, 1),
        app=_service_of(request),
        answered_by=answered,
    )


def _method_of(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "_OTHER"


def _route_of(request: HttpRequest) -> str:
    """The URL pattern that the path matches, empty where it matches none."""
    return f"/{request.resolver_match.route}" if request.resolver_match else ""


def _service_of(request: HttpRequest) -> str:
    """The app that answered, from the resolved view, so that unknown paths create no labels."""
    match = request.resolver_match
    module = getattr(getattr(match, "func", None), "__module__", "") if match else ""
    parts = module.split(".")
    return parts[1] if parts[0] == "apps" and len(parts) > 1 else "platform"

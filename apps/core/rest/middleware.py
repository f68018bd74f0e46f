"""Names every request, measures and logs it, begins its trace, and lets API paths end in a slash or not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Histogram

from apps.core.interface.context import new_trace
from apps.core.observability import identity, spans
from apps.core.seam.client import answered_by

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked several times a minute by machines: neither traced nor worth a line.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
requests_total = Counter("http_requests_total", "HTTP requests by what answered", ("service", "status"))
request_seconds = Histogram("http_request_seconds", "Time to answer an HTTP request", ("service",))
log = structlog.get_logger(__name__)


class RequestIdentity:
    """Sets `request.request_id` and `request.trace`, and is what log lines and spans made meanwhile belong to."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        trace, span = _trace_of(request)
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _SAFE_ID.fullmatch(given) else trace[3:19]
        # The edge reads them back; Django's request has no place for them that is typed.
        request.trace, request.request_id = trace, request_id  # type: ignore[attr-defined]
        token = identity.begin(request_id, trace, span_id="" if span is None else trace[36:52])
        status, answered = 500, {}
        try:
            with answered_by.recorded() as answered:
                response = self._get_response(request)
            status = response.status_code
        finally:
            seconds = time.perf_counter() - started
            # Whom the session belongs to, where the view has asked for it: in the admin nobody else says so.
            identity.note_actor(getattr(getattr(request, "_cached_user", None), "pk", None))
            _tell(request, status, seconds, answered)
            actor = identity.fields().get("actor", "")
            identity.end(token)
            if span is not None:
                _end(span, request, status, actor)
        # Django would say a refusal again, when this is over and the line would be nobody's.
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
    made = "" if sent else new_trace()
    if not spans.is_tracing() or request.path_info in PROBES:
        return sent or made, None
    return spans.arrived(_method_of(request), sent, made, {"http.request.method": _method_of(request)})


def _end(span: spans.Span, request: HttpRequest, status: int, actor: str) -> None:
    """What is told of a request: its route and status, not its path, which holds ids, and not its query, which may hold anything."""
    route = _route_of(request)
    attributes: dict[str, spans.Value] = {"http.response.status_code": status, "seam.service": _service_of(request)}
    if route:
        attributes["http.route"] = route
    if actor:
        attributes["enduser.pseudo.id"] = actor
    name = f"{_method_of(request)} {route}".strip()
    span.end(attributes, name=name, error=str(status) if status >= 500 else "")


def _tell(request: HttpRequest, status: int, seconds: float, answered: dict[str, str]) -> None:
    """The access line: at INFO, at WARNING where it failed on our side, at DEBUG for probes."""
    tell = log.warning if status >= 500 else log.debug if request.path_info in PROBES else log.info
    tell(
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
    """The pattern that the path fits, empty for a path that fits none."""
    return f"/{request.resolver_match.route}" if request.resolver_match else ""


def _service_of(request: HttpRequest) -> str:
    """The app that answered, from the resolved view; unknown paths do not make new labels."""
    match = request.resolver_match
    module = getattr(getattr(match, "func", None), "__module__", "") if match else ""
    parts = module.split(".")
    return parts[1] if parts[0] == "apps" and len(parts) > 1 else "platform"

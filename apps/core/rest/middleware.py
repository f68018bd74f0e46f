"""Names every request, measures it, and lets API paths end in a slash or not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Histogram

from apps.core.seam import trail
from apps.core.seam.context import new_trace

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
requests_total = Counter("http_requests_total", "HTTP requests by what answered", ("service", "status"))
request_seconds = Histogram("http_request_seconds", "Time to answer an HTTP request", ("service",))


class RequestIdentity:
    """Sets `request.request_id` and `request.trace`, and binds them to the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        if request.path_info.startswith("/api/") and request.path_info.endswith("/"):
            request.path_info = request.path_info.rstrip("/")
        given = request.headers.get("X-Request-ID", "")
        sent = request.headers.get("traceparent", "")
        trace = sent if _TRACEPARENT.fullmatch(sent) else new_trace()
        identity = given if _SAFE_ID.fullmatch(given) else trace[3:19]
        # The edge reads them back; Django's request has no place for them that is typed.
        request.trace, request.request_id = trace, identity  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(request_id=identity)
        try:
            with trail.recorded() as answered:
                response = self._get_response(request)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")
        response["X-Request-ID"] = identity
        if answered:
            response["X-Answered-By"] = ", ".join(f"{name}={process}" for name, process in answered.items())
        service = _service_of(request)
        requests_total.labels(service, response.status_code).inc()
        request_seconds.labels(service).observe(time.perf_counter() - started)
        return response


def _service_of(request: HttpRequest) -> str:
    """The app that answered, from the resolved view; unknown paths do not make new labels."""
    match = request.resolver_match
    module = getattr(getattr(match, "func", None), "__module__", "") if match else ""
    parts = module.split(".")
    return parts[1] if parts[0] == "apps" and len(parts) > 1 else "platform"

"""The seam's HTTP endpoint: `POST /internal/seam/<service>/<method>`, a bare WSGI application ahead of Django's
handler.

It answers 200 with a result, a typed refusal with its status, or a fault (400, 401, 403, 404, 500) without one.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import close_old_connections

from apps.core.interface import context
from apps.core.interface.context import CallContext, WireContext
from apps.core.interface.errors import HTTP_STATUS
from apps.core.interface.operations import PATH, Operation
from apps.core.observability import identity, seam_metrics, spans
from apps.core.seam import signing
from apps.core.seam.server import callers, dispatch
from apps.core.seam.server.dispatch import Binding

MAX_BODY = 1024 * 1024
DIGEST_HEADER = "X_SEAM_BODY_SHA256"
StartResponse = Callable[..., Any]
log = structlog.get_logger(__name__)
# Services call each other directly; a call that passed a gateway or a proxy came from outside (RFC 7239, RFC 9110
# section 7.6.3).
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class _Envelope(msgspec.Struct, frozen=True):
    context: WireContext
    arguments: msgspec.Raw


class _Fault(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Target:
    """The service and method of a call once they are known to exist: unauthenticated input makes no metric labels."""

    __slots__ = ("method", "service")

    def __init__(self) -> None:
        self.service = self.method = ""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer one seam call (WSGI, PEP 3333)."""
    close_old_connections()
    target = _Target()
    try:
        status, body = _answer(environ, target)
    except _Fault as fault:
        status, body = fault.status, msgspec.json.encode({"fault": fault.reason})
    except Exception:
        log.exception("seam_fault")
        status, body = 500, b'{"fault":"internal error"}'
    finally:
        close_old_connections()
    _served(target.service, target.method, status).inc()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {REASONS.get(status, 'Refused')}", headers)
    return [body]


def _answer(environ: dict[str, Any], target: _Target) -> tuple[int, bytes]:
    path = environ["PATH_INFO"]
    service, _, method = path.removeprefix(f"{PATH}/").partition("/")
    if any(name in environ for name in FORWARDED):
        raise _Fault(404, "nothing here")
    if environ["REQUEST_METHOD"] != "POST":
        raise _Fault(405, "POST only")
    # Authenticity first: an unauthenticated caller learns nothing, not even which services this process has.
    body = _authentic_body(environ, path)
    if service not in settings.SEAM_SERVES:
        raise _Fault(404, "no such service here")
    target.service = service
    binding = dispatch.local_binding(service)
    operation = binding.key.operations.get(method)
    if operation is None:
        raise _Fault(404, "no such operation")
    target.method = method
    try:
        envelope = _decode_envelope(body)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        raise _Fault(400, f"not a call: {error}") from error
    caller = environ["HTTP_X_SEAM_CALLER"]
    try:
        ctx = callers.checked(caller, operation, context.from_wire(envelope.context), envelope.arguments)
    except callers.NotAllowed as error:
        log.warning("seam_call_not_allowed", app=service, method=method, caller=caller)
        raise _Fault(403, str(error)) from None
    return _executed(binding, operation, ctx, envelope.arguments, caller)


def _executed(
    binding: Binding, operation: Operation, ctx: CallContext, arguments: msgspec.Raw, caller: str
) -> tuple[int, bytes]:
    """Run the operation in the name of the request that began the chain of calls, which log lines and spans carry."""
    started = time.perf_counter()
    status, service, method = 500, operation.service, operation.name
    token = identity.begin(ctx.request_id, ctx.trace, ctx.actor.id)
    span = spans.of_answer(service, method, operation.kind, ctx.trace, caller) if spans.is_tracing() else None
    try:
        answer = binding.execute(operation, ctx if span is None else ctx.inside(span.trace), arguments)
        status = 200 if answer.refusal is None else HTTP_STATUS[answer.refusal.category]
        return status, answer.body
    except Exception as error:
        log.exception("seam_fault", app=service, method=method)
        raise _Fault(500, "internal error") from error
    finally:
        ms = round((time.perf_counter() - started) * 1000, 1)
        log.info("seam_call", app=service, method=method, caller=caller, status=status, ms=ms)
        if span is not None:
            span.end({"seam.status": status}, error=spans.raised())
        identity.end(token)


@cache
def _served(service: str, method: str, status: int) -> Any:
    """The counter of an operation and a status; cached, because there are few."""
    return seam_metrics.served.labels(service, method, status)


def _read(environ: dict[str, Any]) -> bytes:
    try:
        size = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise _Fault(400, "no length") from None
    if not 0 <= size <= MAX_BODY:
        raise _Fault(413, "too large")
    body: bytes = environ["wsgi.input"].read(size)
    if len(body) != size:
        raise _Fault(400, "the body ended early")
    return body


def is_sealed(headers: Mapping[str, str], path: str) -> bool:
    """Whether the headers of a call are authentic; the body then has the digest that they state.

    `headers`: in upper case, dashes as underscores.
    """
    try:
        _check(headers, "", path, headers.get(DIGEST_HEADER, ""))
    except signing.BadSeal:
        return False
    return True


def _authentic_body(environ: dict[str, Any], path: str) -> bytes:
    """The body of an authentic call. A forged one is refused before it is read.

    A call without the digest's header has the form of the release before, and is read first (ADR 0011).
    """
    try:
        stated = environ.get(f"HTTP_{DIGEST_HEADER}")
        if stated is not None:
            _check(environ, "HTTP_", path, stated)
        body = _read(environ)
        digest = signing.digest_of(body)
        if stated is None:
            _check(environ, "HTTP_", path, digest)
        elif not hmac.compare_digest(stated.encode(), digest.encode()):
            raise signing.BadSeal
    except signing.BadSeal:
        raise _Fault(401, "not authentic") from None
    return body


def _check(headers: Mapping[str, Any], prefix: str, path: str, digest: str) -> None:
    signing.check_digest(
        caller=headers.get(f"{prefix}X_SEAM_CALLER", ""),
        callee=path.removeprefix(f"{PATH}/").partition("/")[0],
        method="POST",
        path=path,
        digest=digest,
        at=headers.get(f"{prefix}X_SEAM_TIME", ""),
        signature=headers.get(f"{prefix}X_SEAM_SIGNATURE", ""),
    )

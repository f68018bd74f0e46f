"""The two transports to a service: in this process, or over HTTP. Both return the same bytes."""

from __future__ import annotations

from typing import Protocol

import msgspec

from apps.core.interface import context, errors
from apps.core.interface.context import CallContext
from apps.core.interface.errors import FailureKind, RemoteCallFailed
from apps.core.interface.operations import Operation
from apps.core.seam import signing
from apps.core.seam.answer import Answer
from apps.core.seam.client import http
from apps.core.seam.server.dispatch import Binding

OK = 200


class Transport(Protocol):
    """Sends one call to a side of a service."""

    side: str
    process: str

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        """The answer, complete and parsed.

        Raises: RemoteCallFailed when there is none.
        """


class InProcess:
    """Answers in this process. The arguments still pass the codec, so that both sides refuse the same values."""

    side = "home"

    def __init__(self, binding: Binding, *, process: str) -> None:
        self._binding = binding
        self.process = process

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        return self._binding.execute(operation, ctx, arguments)


class OverHttp:
    """Answers over HTTP. `url` is the scheme, host and port of a seam endpoint, or `unix:///path` of its socket.

    `leave_half` keeps half of the caller's time for a fallback.
    """

    def __init__(
        self, url: str, *, caller: str, process: str = "", side: str = "away", leave_half: bool = True
    ) -> None:
        self._address = http.Address(url)
        self._caller = caller
        self._leave_half = leave_half
        self.side = side
        self.process = process or url
        self._encode = msgspec.json.Encoder().encode

    def allowed_ms(self, operation: Operation, ctx: CallContext) -> int:
        """The milliseconds that one attempt may take: the method's timeout, within what is left of the caller's."""
        left_ms = ctx.remaining_ms()
        return min(left_ms // 2 if self._leave_half else left_ms, operation.timeout_ms)

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        return self.exchange(operation, ctx, arguments, max(self.allowed_ms(operation, ctx), 1))

    def exchange(self, operation: Operation, ctx: CallContext, arguments: bytes, allowed_ms: int) -> Answer:
        """One request and its whole, decoded answer. Raises: RemoteCallFailed."""
        body = b'{"context":%b,"arguments":%b}' % (self._encode(context.to_wire(ctx, allowed_ms)), arguments)
        path = operation.path
        digest = signing.digest_of(body)
        at, signature = signing.seal_digest(
            caller=self._caller, callee=operation.service, method="POST", path=path, digest=digest
        )
        headers = (
            f"X-Seam-Caller: {self._caller}\r\nX-Seam-Time: {at}\r\n"
            f"X-Seam-Body-SHA256: {digest}\r\nX-Seam-Signature: {signature}\r\n"
        )
        status, answer = http.post(self._address, path, headers, body, allowed_ms / 1000)
        if status != OK:
            return Answer(answer, _refusal(status, answer))
        try:
            return Answer(answer, None, operation.decode_result(answer))
        except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
            raise RemoteCallFailed(f"an answer of another shape: {error}", may_have_executed=True) from error


def _refusal(status: int, body: bytes) -> errors.DomainError:
    try:
        refusal = errors.from_wire(body)
        if errors.HTTP_STATUS[refusal.category] == status:
            return refusal
        reason = f"{refusal.code} with HTTP {status} instead of {errors.HTTP_STATUS[refusal.category]}"
        raise RemoteCallFailed(reason, may_have_executed=True, kind=FailureKind.FAULT)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        # A proxy in between answers so when its upstream is unreachable (RFC 9110, sections 15.6.3 to 15.6.5).
        kind = FailureKind.UNREACHABLE if status in {502, 503, 504} else FailureKind.FAULT
        raise RemoteCallFailed(f"HTTP {status} without a typed refusal", may_have_executed=True, kind=kind) from error

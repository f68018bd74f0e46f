"""The two ways to reach a service: in this process, or over HTTP. Both give the same bytes."""

from __future__ import annotations

from typing import Protocol

import msgspec

from apps.core.seam import context, errors, http_client, signing
from apps.core.seam.bindings import Answer, Binding
from apps.core.seam.context import CallContext
from apps.core.seam.errors import RemoteCallFailed
from apps.core.seam.service import Operation

PATH = "/internal/seam"
OK = 200


class Transport(Protocol):
    """Carries one call to where it is answered."""

    side: str
    process: str

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        """The answer, complete and parsed.

        Raises: RemoteCallFailed when there is none.
        """


class InProcess:
    """Answers here. The arguments still make the codec's round trip, so that both sides refuse the same things."""

    side = "home"

    def __init__(self, binding: Binding, *, process: str) -> None:
        self._binding = binding
        self.process = process

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        return self._binding.execute(operation, ctx, arguments)


class OverHttp:
    """Answers elsewhere. `url` is the scheme, host and port of a seam endpoint."""

    side = "away"

    def __init__(self, url: str, *, caller: str) -> None:
        self._url = url
        self._caller = caller
        self.process = url
        self._encode = msgspec.json.Encoder().encode

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        # Half of the time, so that home can still answer when the remote side does not.
        allowed = max(ctx.remaining_ms() // 2, 1)
        wire = self._encode(context.to_wire(ctx, allowed))
        body = b'{"context":' + wire + b',"arguments":' + arguments + b"}"
        path = f"{PATH}/{operation.service}/{operation.name}"
        at, signature = signing.seal(caller=self._caller, callee=operation.service, method="POST", path=path, body=body)
        headers = {"X-Seam-Caller": self._caller, "X-Seam-Time": at, "X-Seam-Signature": signature}
        status, answer = http_client.post(self._url, path, headers, body, allowed / 1000)
        if status == OK:
            return Answer(answer)
        return Answer(answer, _refusal(status, answer))


def _refusal(status: int, body: bytes) -> errors.DomainError:
    try:
        refusal = errors.from_wire(body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise RemoteCallFailed(f"HTTP {status} without a typed refusal", may_have_executed=True) from error
    return refusal

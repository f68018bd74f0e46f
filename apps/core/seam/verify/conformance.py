"""Checks that a server at a URL follows the wire protocol of `docs/wire.md`, as far as that needs no data.

Each operation is called with requests that every implementation must refuse.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from apps.core.interface import errors
from apps.core.interface.context import SYSTEM, new_context, to_wire
from apps.core.interface.errors import RemoteCallFailed
from apps.core.interface.operations import Kind, Operation, ServiceKey
from apps.core.seam import signing
from apps.core.seam.client.http import Address, post
from apps.core.seam.signing import MAX_AGE_MS
from apps.core.seam.verify import samples

TIMEOUT_SECONDS = 10.0
REACH_SECONDS = 2.0


class Check(NamedTuple):
    """One check of one operation. `problem` is empty where it passed."""

    operation: str
    name: str
    problem: str


def check(key: ServiceKey[Any], url: str, *, caller: str) -> Iterator[Check]:
    """Check every operation of a service. Raises nothing: a side that does not answer is a problem."""
    address = Address(url)
    for operation in key.operations.values():
        for name, problem in _of_operation(operation, address, caller):
            yield Check(operation.name, name, problem)


def reachable(key: ServiceKey[Any], url: str, *, caller: str) -> str:
    """Why nothing can be checked; empty where the server answers and accepts our signature."""
    operation = next(iter(key.operations.values()))
    call = _Caller(operation, Address(url), caller)
    try:
        status, _ = call.send(b"{", timeout_seconds=REACH_SECONDS)
    except RemoteCallFailed as failure:
        return f"nothing answers at {url}: {failure.kind.value}"
    if status == 401:
        return (
            f"{url} takes none of our seals: are clocks and the secret of {caller}>{key.name} the same on both sides?"
        )
    return (
        ""
        if status == 400
        else f"{url} answers {status} to a call that is no JSON: is it a seam, and nothing in between?"
    )


def _of_operation(operation: Operation, address: Address, caller: str) -> Iterator[tuple[str, str]]:
    call = _Caller(operation, address, caller)
    whole = call.body(b"{}")
    yield "no signature", call.expect(whole, {401}, seal=None)
    yield "a signature over another body", call.expect(whole, {401}, seal=whole + b" ")
    yield "a signature that is too old", call.expect(whole, {401}, aged=True)
    yield "a pair that does not exist", call.expect(whole, {401}, caller="nobody")
    yield "a person's token instead", call.expect(whole, {401}, seal=None, extra="Authorization: Bearer x\r\n")
    yield "no JSON", call.expect(b"{", {400})
    yield "no context", call.expect(b'{"arguments":{}}', {400})
    yield "arguments of another shape", call.refused(call.body(b"[]"), "invalid_arguments")
    for name in list(operation.parameters)[:1]:
        # Interfaces have no free objects, so that no parameter takes this one.
        mistyped = msgspec.json.encode({name: {"no": ["such", "value"]}})
        yield "an argument of another type", call.refused(call.body(mistyped), "invalid_arguments")
    yield "a body of more than 1 MiB", call.expect(call.body(b'{"x":"%s"}' % (b"x" * 1024 * 1024)), {413})
    for header in ("Forwarded: for=10.0.0.1", "X-Forwarded-For: 10.0.0.1", "X-Real-IP: 10.0.0.1", "Via: 1.1 gateway"):
        yield f"through a gateway ({header.split(':')[0]})", call.expect(whole, {404}, extra=f"{header}\r\n")
    try:
        arguments = _arguments(operation)
    except samples.NoSample:
        return
    if operation.kind is Kind.COMMAND:
        keyless = call.body(arguments, command_key=None)
        yield "a command without a key", call.refused(keyless, "invalid_arguments")
    else:
        yield "fields from the future", call.ignores_unknown_fields(arguments)


def _arguments(operation: Operation) -> bytes:
    """Well-formed arguments that refer to no existing object. Raises: samples.NoSample."""
    arguments = {}
    for name, parameter in operation.parameters.items():
        if parameter.default is inspect.Parameter.empty:
            arguments[name] = samples.sample(operation.hints[name])
    return msgspec.json.encode(arguments)


class _Caller:
    def __init__(self, operation: Operation, address: Address, caller: str) -> None:
        self._operation = operation
        self._address = address
        self._caller = caller

    def body(self, arguments: bytes, **changes: Any) -> bytes:
        """A call's body with a system context, in which `changes` replace fields."""
        context = msgspec.to_builtins(to_wire(new_context(actor=SYSTEM), 5_000)) | changes
        return b'{"context":%b,"arguments":%b}' % (msgspec.json.encode(context), arguments)

    def ignores_unknown_fields(self, arguments: bytes) -> str:
        """The problem, where fields of a newer caller change the answer's status."""
        added = msgspec.json.encode(msgspec.json.decode(arguments) | {"from_the_future": {"x": 1}})
        try:
            plain, _ = self.send(self.body(arguments))
            newer, answer = self.send(self.body(added, from_the_future=[1]))
        except RemoteCallFailed as failure:
            return f"no answer: {failure}"
        return "" if plain == newer else f"answered {plain} without and {newer} with them: {answer[:200]!r}"

    def send(
        self,
        body: bytes,
        *,
        seal: bytes | None = b"",
        caller: str = "",
        aged: bool = False,
        extra: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> tuple[int, bytes]:
        """Send a body. `seal` is the content to sign: the body by default; None sends no signature."""
        lines = extra
        if seal is not None:
            at, signature = signing.seal(
                caller=self._caller,
                callee=self._operation.service,
                method="POST",
                path=self._operation.path,
                body=seal or body,
                at_ms=time.time_ns() // 1_000_000 - (MAX_AGE_MS + 1_000 if aged else 0),
            )
            lines += (
                f"X-Seam-Caller: {caller or self._caller}\r\nX-Seam-Time: {at}\r\n"
                f"X-Seam-Body-SHA256: {signing.digest_of(seal or body)}\r\nX-Seam-Signature: {signature}\r\n"
            )
        return post(self._address, self._operation.path, lines, body, timeout_seconds)

    def expect(self, body: bytes, statuses: set[int], **how: Any) -> str:
        """The problem, where the status is not an expected one."""
        try:
            status, _ = self.send(body, **how)
        except RemoteCallFailed as failure:
            return f"no answer: {failure}"
        return "" if status in statuses else f"answered {status} instead of {' or '.join(map(str, sorted(statuses)))}"

    def refused(self, body: bytes, code: str) -> str:
        """The problem, where the body is not refused with this code and its category's status."""
        try:
            status, answer = self.send(body)
            refusal = errors.from_wire(answer)
        except RemoteCallFailed as failure:
            return f"no answer: {failure}"
        except (msgspec.ValidationError, msgspec.DecodeError):
            return f"answered {status} without a typed refusal instead of {code}"
        if refusal.code != code:
            return f"refused with {refusal.code} instead of {code}"
        expected = errors.HTTP_STATUS[refusal.category]
        return "" if status == expected else f"refused with {code} and status {status} instead of {expected}"

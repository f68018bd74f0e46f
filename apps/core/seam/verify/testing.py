"""For tests: bindings over fakes, which pass the real services' contract tests, and a transport that delivers twice."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.interface import errors
from apps.core.interface.context import CallContext
from apps.core.interface.errors import CommandKeyReused, DomainError
from apps.core.interface.operations import Kind, Operation, ServiceKey
from apps.core.seam.answer import Answer
from apps.core.seam.client.comparison import differences
from apps.core.seam.client.transports import InProcess, Transport
from apps.core.seam.server.commands import record_id
from apps.core.seam.server.dispatch import Binding


class FakeBinding(Binding):
    """A fake behind the seam: the codec and the command keys are real, the command log is a dictionary."""

    def __init__(self, key: ServiceKey[Any], fake: Any) -> None:
        super().__init__(key, fake, None)
        self._answers: dict[object, tuple[bytes, bytes]] = {}

    def execute(self, operation: Operation, ctx: CallContext, arguments: bytes | msgspec.Raw) -> Answer:
        """Replay a known key, else run and store the answer."""
        if operation.kind is Kind.QUERY:
            return super().execute(operation, ctx, arguments)
        try:
            encoded = operation.encode_arguments(operation.decode_arguments(arguments))
            previous = self._answers.get(record_id(operation, ctx))
            if previous is not None and previous[0] != encoded:
                raise CommandKeyReused
        except DomainError as refusal:
            return Answer(errors.to_wire(refusal), refusal)
        if previous is not None:
            return Answer(previous[1])
        answer = super().execute(operation, ctx, arguments)
        if answer.refusal is None:
            self._answers[record_id(operation, ctx)] = (encoded, answer.body)
        return answer


def transport_to(key: ServiceKey[Any], fake: Any) -> InProcess:
    """A transport that `registry.routed_by` takes for a service."""
    return InProcess(FakeBinding(key, fake), process="fake")


class Twice:
    """Delivers every command twice and returns the second answer; a test double for lost acknowledgements.

    Fields that the interface declares as varying may differ.

    Raises: AssertionError when the answers differ.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.side = inner.side
        self.process = inner.process

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        first = self._inner.send(operation, ctx, arguments)
        if operation.kind != "command" or first.refusal is not None:
            return first
        second = self._inner.send(operation, ctx, arguments)
        decode = operation.decode_result
        same = second.refusal is None and not list(differences(operation, decode(first.body), decode(second.body)))
        if not same:
            raise AssertionError(f"{operation.service}.{operation.name} is not idempotent: {first} {second}")
        return second

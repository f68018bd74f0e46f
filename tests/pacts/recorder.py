"""Records the calls that services make to each other in real use.

Wraps the local transport and notes the consumer, the sale and its state. `files.py` makes pacts of the recordings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import msgspec

from apps.core.interface import context
from apps.core.interface.context import CallContext
from apps.core.interface.errors import HTTP_STATUS, DomainError
from apps.core.interface.operations import Operation
from apps.core.seam.answer import Answer
from apps.core.seam.client import registry
from apps.core.seam.client.transports import OK, Transport
from tests.pacts.sale import Sale

REMAINING_MS = 5_000


class Recording(NamedTuple):
    """One call as it crossed the seam. `request` is the body that `OverHttp` would send."""

    consumer: str
    operation: Operation
    sale: Sale
    state: str
    request: dict[str, Any]
    status: int
    answer: Any
    refusal: type[DomainError] | None

    @property
    def event(self) -> str:
        """The name of the delivered event, or ''."""
        event = self.request["arguments"].get("event") if self.operation.name == "receive" else None
        return event["type"] if event else ""

    @property
    def outcome(self) -> str:
        """What a consumer distinguishes: a result, an empty result, or a refusal by its code."""
        if self.refusal is not None:
            return self.refusal.code
        listed = self.answer.get("items") if isinstance(self.answer, dict) else self.answer
        return "nothing" if listed == [] else "result"


class Recorder:
    """Collects the calls of known sales and ignores all others."""

    def __init__(self) -> None:
        self.recordings: list[Recording] = []
        self._sales: dict[str, Sale] = {}
        self._named: dict[str, set[str]] = {}
        self._states: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record for the length of a block."""
        with registry.routed_by(lambda service, _ctx: _RecordingTransport(registry.local(service), self)):
            yield

    def reach(self, state: str) -> Sale:
        """A sale in a state; the calls on the way to it are recorded."""
        return Sale.reach(state, on_step=self._note_names)

    def _note_names(self, sale: Sale) -> None:
        self._sales[sale.world.trace] = sale
        self._named[sale.state] = set(sale.values)

    def names_in(self, state: str) -> set[str]:
        """The names of the values that every sale in a state has."""
        if state not in self._named:
            self.reach(state)
        return self._named[state]

    @contextmanager
    def answering_in(self, operation: str, state: str) -> Iterator[None]:
        """Within the block an operation's calls are recorded in another state: the page reached it by the call before."""
        self._states[operation] = state
        try:
            yield
        finally:
            del self._states[operation]

    def last(self, operation: str, argument: str) -> Any:
        """An argument of the last call of an operation, or ()."""
        for recording in reversed(self.recordings):
            if f"{recording.operation.service}.{recording.operation.name}" == operation:
                return recording.request["arguments"][argument]
        return ()

    def note(self, operation: Operation, ctx: CallContext, arguments: bytes, answer: Answer) -> None:
        """Record a call that one service made to another on behalf of a known sale."""
        sale = self._sales.get(ctx.trace)
        consumer = _event_source(operation, arguments) or _consumer(sys._getframe())
        if sale is None or consumer in {None, operation.service}:
            return
        wire = msgspec.to_builtins(context.to_wire(ctx, REMAINING_MS))
        refusal = None if answer.refusal is None else type(answer.refusal)
        self.recordings.append(
            Recording(
                consumer=str(consumer),
                operation=operation,
                sale=sale,
                state=self._states.get(f"{operation.service}.{operation.name}", sale.state),
                request={"context": wire, "arguments": msgspec.json.decode(arguments)},
                status=OK if refusal is None else HTTP_STATUS[refusal.category],
                answer=msgspec.json.decode(answer.body),
                refusal=refusal,
            )
        )


class _RecordingTransport:
    """Answers as the inner transport does, and records the call."""

    def __init__(self, inner: Transport, recorder: Recorder) -> None:
        self.side, self.process = inner.side, inner.process
        self._inner, self._recorder = inner, recorder

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        answer = self._inner.send(operation, ctx, arguments)
        self._recorder.note(operation, ctx, arguments, answer)
        return answer


def _event_source(operation: Operation, arguments: bytes) -> str | None:
    """The service whose relay delivers: the relay is core's, so no app is among its callers."""
    if operation.name != "receive":
        return None
    event = operation.decode_arguments(arguments)["event"]
    return str(event.type).partition(".")[0]


def _consumer(frame: FrameType | None) -> str | None:
    """The app whose code makes the call; None where a test or core makes it."""
    while frame is not None:
        package, _, rest = frame.f_globals.get("__name__", "").partition(".")
        app = rest.partition(".")[0]
        if package == "apps" and app != "core":
            return app
        frame = frame.f_back
    return None

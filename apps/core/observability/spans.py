"""Manual spans of a trace, at the few points where work begins, crosses processes or waits (ADR 0021).

`is_tracing` is false unless an OTLP endpoint is configured; each point then costs one call. Where it is true, a request
that is not sampled costs one look at the last digit of its traceparent. No span holds an argument, an answer, a path or
the text of an error.

Here: the attributes of each kind of work (OpenTelemetry semantic conventions 1.3x: HTTP, RPC, messaging). Not here: the
SDK (`otlp.py`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Protocol
from uuid import UUID

from apps.core.observability import identity

Value = str | int | float | bool
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = frozenset("13579bdf")


class Kind(Enum):
    """A span's role in its trace (OpenTelemetry specification, "SpanKind")."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"


class Recording(Protocol):
    """A span under way. `trace` is its traceparent."""

    trace: str

    def end(self, attributes: Mapping[str, Value], *, error: str = "", name: str = "") -> None:
        """End the span; `error` is the error's type, empty for none; `name` replaces the name from the beginning."""


class Tracer(Protocol):
    """Begins spans and decides which traces are recorded."""

    def begin(self, name: str, kind: Kind, parent: str, attributes: Mapping[str, Value]) -> Recording | None:
        """A span below `parent` (a traceparent, empty for a trace's first span); None when spans cannot be created."""

    def chooses(self, name: str) -> bool:
        """Whether a trace that begins here is recorded."""


_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """Create this process's spans with this tracer from now on; None creates none."""
    global _tracer
    _tracer = tracer


def is_tracing() -> bool:
    """Whether this process creates spans."""
    return _tracer is not None


class _Event(Protocol):
    id: UUID
    type: str


class Span:
    """A span, and the identity of this thread inside it."""

    __slots__ = ("_recording", "_token", "trace")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.trace = recording.trace
        self._token = identity.within(self.trace)

    def end(self, attributes: Mapping[str, Value], *, error: str = "", name: str = "") -> None:
        """End the span. Called once, in a `finally`."""
        identity.end(self._token)
        self._recording.end(attributes, error=error, name=name)


def is_sampled(trace: str) -> bool:
    """Whether the trace is recorded: decided once, at its beginning, and carried in the traceparent's flags."""
    return trace[-1:] in _SAMPLED and len(trace) == 55


def unsampled(trace: str) -> str:
    """The same trace, without further spans."""
    return f"{trace[:-2]}00" if is_sampled(trace) else trace


def begin(name: str, kind: Kind, parent: str, attributes: Mapping[str, Value]) -> Span | None:
    """A span below a sampled parent; None below any other."""
    recording = _begun(name, kind, parent, attributes)
    return None if recording is None else Span(recording)


def _begun(name: str, kind: Kind, parent: str, attributes: Mapping[str, Value]) -> Recording | None:
    if _tracer is None or not is_sampled(parent) or TRACEPARENT.fullmatch(parent) is None:
        return None
    return _tracer.begin(name, kind, parent, attributes)


def arrived(name: str, sent: str, own: str, attributes: Mapping[str, Value]) -> tuple[str, Span | None]:
    """The traceparent and the span of a request from outside.

    `sent` is the caller's traceparent, empty for none: its ids are used, so that a caller can follow its own request,
    but not its sampling flag, because then any caller could have everything recorded, or nothing. `own` is a new
    traceparent for a request without one.
    """
    if _tracer is None:
        return sent or own, None
    if not _tracer.chooses(name):
        return f"{(sent or own)[:-2]}00", None
    recording = _tracer.begin(name, Kind.SERVER, f"{sent[:-2]}01" if sent else "", attributes)
    if recording is None:
        return f"{(sent or own)[:-2]}00", None
    return recording.trace, Span(recording)


@contextmanager
def job(name: str) -> Iterator[None]:
    """System work as the first span of a trace: contexts created inside belong to it."""
    recording = _tracer.begin(name, Kind.INTERNAL, "", {}) if _tracer is not None and _tracer.chooses(name) else None
    if recording is None:
        yield
        return
    span = Span(recording)
    try:
        yield
    finally:
        span.end({}, error=raised())


def of_call(service: str, method: str, kind: str, trace: str) -> Span | None:
    """The caller's end of a seam call."""
    if not is_sampled(trace):
        return None
    return begin(f"{service}/{method}", Kind.CLIENT, trace, {**_rpc(service, method), "seam.kind": kind})


def of_answer(service: str, method: str, kind: str, trace: str, caller: str) -> Span | None:
    """The answering end of a seam call, in another process."""
    if not is_sampled(trace):
        return None
    return begin(
        f"{service}/{method}", Kind.SERVER, trace, {**_rpc(service, method), "seam.kind": kind, "seam.caller": caller}
    )


def of_event(event: _Event, consumer: str, trace: str) -> Recording | None:
    """An event put into the outbox for one consumer, until its cause commits. The row stores its traceparent."""
    return _begun(f"send {event.type}", Kind.PRODUCER, trace, _messaging("send", event.type, event.id, consumer))


def of_delivery(event_type: str, event_id: UUID, consumer: str, trace: str, *, attempt: int) -> Span | None:
    """One attempt to deliver an event, at any time after its cause; every attempt is a span of the event's trace."""
    attributes = {**_messaging("process", event_type, event_id, consumer), "seam.attempt": attempt}
    return begin(f"process {event_type}", Kind.CONSUMER, trace, attributes)


def raised() -> str:
    """In a `finally`: the type of the present exception, empty for none. Its text is omitted: it may hold anything."""
    kind = sys.exc_info()[0]
    return "" if kind is None else kind.__qualname__


def _rpc(service: str, method: str) -> dict[str, Value]:
    return {"rpc.system": "seam", "rpc.service": service, "rpc.method": method}


def _messaging(operation: str, event_type: str, event_id: UUID, consumer: str) -> dict[str, Value]:
    return {
        "messaging.system": "outbox",
        "messaging.operation.type": operation,
        "messaging.destination.name": event_type,
        "messaging.message.id": str(event_id),
        "messaging.consumer.group.name": consumer,
    }

"""Events: facts that one app publishes to others. An event is a DTO with a name; its envelope is delivered.

Here: the types and the handlers by name. Not here: writing (`seam/server/commands.py`) or delivering
(`seam/events/relay.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

import msgspec

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.operations import command


class Event(Dto):
    """A fact, in the past tense. Subclasses set `TYPE` to `<service>.<name>`."""

    TYPE: ClassVar[str] = ""


class EventEnvelope(Dto):
    """An event on its way to one consumer. `payload` is the event itself; only the consumer knows its type."""

    event_id: UUID
    type: str
    aggregate_id: UUID
    sequence: int
    occurred_at: Instant
    actor_id: UUID | None
    payload: msgspec.Raw


class EventReceipt(Dto):
    """The acknowledgement: the consumer's transaction is committed."""

    event_id: UUID
    effect: str


class EventConsumer(Protocol):
    """The operation that every service with handlers offers to the relays of the others."""

    @command
    def receive(self, *, ctx: CallContext, event: EventEnvelope) -> EventReceipt:
        """Handle an event once. Its id is the command key, so a second delivery replays the receipt.

        After any refusal, by this service or by one that it calls, the event is delivered again later.
        """


E = TypeVar("E", bound=Event)
Handler = Callable[[CallContext, EventEnvelope, Any], EventReceipt]
Handlers = Mapping[type[Event], Handler]


class ReceivesEvents:
    """Mixin of an implementation, which finds the handler by the event's name."""

    handlers: ClassVar[Handlers] = {}

    def receive(self, *, ctx: CallContext, event: EventEnvelope) -> EventReceipt:
        """Decode the payload and pass it to its handler.

        Raises: LookupError or msgspec.ValidationError for an event that this build does not know. That is a fault and
        not a refusal, so that a newer local build is called; otherwise the event stays undelivered and visible in the
        admin.
        """
        for event_type, handler in self.handlers.items():
            if event.type == event_type.TYPE:
                return handler(ctx, event, msgspec.json.decode(event.payload, type=event_type))
        raise LookupError(f"no handler takes {event.type}")

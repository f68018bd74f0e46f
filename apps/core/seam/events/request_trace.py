"""Traces one request through the databases: the events that it caused, and what each consumer did about them.

Here: the queries. Not here: the output (`management/commands/follow.py`). The content of events is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connections

from apps.core import topology
from apps.core.database import primaries
from apps.core.interface.events import EventReceipt
from apps.core.seam.server import commands

# By the primary key, whose ids begin with the time (RFC 9562, section 5.7): older rows are not read.
EMITTED = """
SELECT event_id, consumer, type, aggregate_id, sequence, actor_id, request_id, substr(trace, 4, 32), occurred_at, delivered_at,
       attempts, leased_until, last_error
FROM {table} WHERE id >= %s AND (request_id = %s OR substr(trace, 4, 32) = %s) ORDER BY occurred_at, id LIMIT %s
"""
HANDLED = "SELECT id, created_at, answer FROM {table} WHERE id = ANY(%s)"
MAX_STEPS = 1_000


class Step(NamedTuple):
    """One event for one consumer. `handled_at` and `effect` are the consumer's record, if this process can read it."""

    emitter: str
    event_id: UUID
    consumer: str
    type: str
    aggregate_id: UUID
    sequence: int
    actor_id: UUID | None
    request_id: str
    trace_id: str
    occurred_at: datetime
    delivered_at: datetime | None
    attempts: int
    next_at: datetime | None
    last_error: str
    handled_at: datetime | None = None
    effect: str = ""


def steps(identity: str, since: datetime) -> list[Step]:
    """The steps of a request id or a trace id (32 hexadecimal digits) since a time, in order of time."""
    oldest = UUID(int=int(since.timestamp() * 1000) << 80)
    emitted = [step for service in topology.loaded() for step in _emitted(service, identity, oldest)]
    handled = _handled(emitted)
    return sorted((_with(step, handled) for step in emitted), key=lambda step: (step.occurred_at, step.consumer))


def _emitted(service: str, identity: str, oldest: UUID) -> Iterator[Step]:
    rows = _rows(service, EMITTED.format(table=f"{service}_outbox"), [oldest, identity, identity.lower(), MAX_STEPS])
    return (Step(service, *row) for row in rows)


def _command_of(step: Step) -> UUID:
    """The consumer's inbox is its table of commands: an event's delivery is the command keyed by its id."""
    return commands.id_of("receive", step.actor_id, str(step.event_id))


def _handled(steps: list[Step]) -> dict[tuple[str, UUID], tuple[datetime, str]]:
    effects: dict[tuple[str, UUID], tuple[datetime, str]] = {}
    for consumer in {step.consumer for step in steps} & set(topology.loaded()):
        ids = [_command_of(step) for step in steps if step.consumer == consumer]
        for record_id, at, answer in _rows(consumer, HANDLED.format(table=f"{consumer}_command"), [ids]):
            effects[consumer, record_id] = (at, _effect(answer))
    return effects


def _effect(answer: Any) -> str:
    try:
        return msgspec.json.decode(bytes(answer or b""), type=EventReceipt).effect
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ""


def _with(step: Step, handled: dict[tuple[str, UUID], tuple[datetime, str]]) -> Step:
    at, effect = handled.get((step.consumer, _command_of(step)), (None, ""))
    return step._replace(handled_at=at, effect=effect)


def _rows(service: str, sql: str, parameters: list[Any]) -> list[Any]:
    with connections[primaries.database_of(service)].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows

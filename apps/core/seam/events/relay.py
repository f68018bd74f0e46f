"""Delivers an app's outbox: one event in flight per (aggregate, consumer), in order, until each is acknowledged.

The delivery is a seam command keyed by the event's id, so two relays, a crash after the effect, or a process that wakes
up late do no harm: the consumer replays its receipt.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog
from django.db import connections

from apps.core import topology
from apps.core.database import primaries
from apps.core.flags.routes import system_context
from apps.core.interface.context import Actor
from apps.core.interface.events import EventEnvelope
from apps.core.observability import identity, seam_metrics, spans
from apps.core.seam.client.registry import call

BATCH = 50
LEASE_SECONDS = 10
DELIVERY_TIMEOUT_MS = 10_000
MAX_BACKOFF_SECONDS = 300
log = structlog.get_logger(__name__)


class _Delivery(NamedTuple):
    id: UUID
    event_id: UUID
    consumer: str
    type: str
    aggregate_id: UUID
    sequence: int
    payload: bytes
    actor_id: UUID | None
    request_id: str
    trace: str
    occurred_at: datetime
    attempts: int


# The head of each queue only: a row is taken when no earlier row of its (aggregate, consumer) is undelivered. A second
# relay waits on the row's lock, sees the lease and passes on.
# Materialised, as a join could ask the heads once for each row, and more than a batch would be taken.
TAKE = """
WITH heads AS MATERIALIZED (
    SELECT head.id AS head_id FROM {table} AS head
    WHERE head.delivered_at IS NULL AND (head.leased_until IS NULL OR head.leased_until < clock_timestamp())
      AND NOT EXISTS (
        SELECT 1 FROM {table} AS earlier
        WHERE earlier.delivered_at IS NULL AND earlier.aggregate_id = head.aggregate_id
          AND earlier.consumer = head.consumer AND earlier.sequence < head.sequence)
    ORDER BY head.occurred_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE {table} SET leased_until = clock_timestamp() + make_interval(secs => %s), attempts = attempts + 1
FROM heads WHERE id = head_id AND delivered_at IS NULL AND (leased_until IS NULL OR leased_until < clock_timestamp())
RETURNING id, event_id, consumer, type, aggregate_id, sequence, payload, actor_id, request_id, trace, occurred_at, attempts
"""
AGE = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0) FROM {table} WHERE delivered_at IS NULL
"""


def deliver_due(service: str, *, rounds: int = 100) -> int:
    """Deliver a service's due events, and those that become due, in up to `rounds` batches; returns their number."""
    count = 0
    for _ in range(rounds):
        taken = _take(service)
        if not taken:
            break
        count += sum(_deliver(service, delivery) for delivery in taken)
    return count


def measure_age(service: str) -> float:
    """Seconds since the oldest undelivered event."""
    ((seconds,),) = _execute(service, AGE.format(table=f"{service}_outbox"), [])
    return float(seconds)


def _execute(service: str, sql: str, parameters: list[Any]) -> list[Any]:
    with connections[primaries.database_of(service)].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def _take(service: str) -> list[_Delivery]:
    rows = _execute(service, TAKE.format(table=f"{service}_outbox"), [BATCH, LEASE_SECONDS])
    return sorted((_Delivery(*row) for row in rows), key=lambda delivery: delivery.occurred_at)


def _deliver(service: str, delivery: _Delivery) -> bool:
    """Deliver one event in the name of the request that caused it, at every attempt."""
    event = {"event_id": str(delivery.event_id), "event_type": delivery.type, "consumer": delivery.consumer}
    with identity.working_for(delivery.request_id, delivery.trace, delivery.actor_id, **event):
        span = None
        if spans.is_tracing():
            span = spans.of_delivery(
                delivery.type, delivery.event_id, delivery.consumer, delivery.trace, attempt=delivery.attempts
            )
        try:
            return _send(service, delivery, delivery.trace if span is None else span.trace)
        finally:
            if span is not None:
                span.end({}, error=spans.raised())


def _send(service: str, delivery: _Delivery, trace: str) -> bool:
    ctx = system_context(
        str(delivery.aggregate_id),
        actor=Actor(id=delivery.actor_id, roles=("system",)),
        request_id=delivery.request_id,
        trace=trace,
        timeout_ms=DELIVERY_TIMEOUT_MS,
        command_key=str(delivery.event_id),
    )
    envelope = EventEnvelope(
        event_id=delivery.event_id,
        type=delivery.type,
        aggregate_id=delivery.aggregate_id,
        sequence=delivery.sequence,
        occurred_at=delivery.occurred_at,
        actor_id=delivery.actor_id,
        payload=msgspec.Raw(bytes(delivery.payload)),
    )
    try:
        call(topology.key_of(delivery.consumer)).receive(ctx=ctx, event=envelope)
    except Exception as error:  # noqa: BLE001 - after any error the event stays and is retried
        _postpone(service, delivery, error)
        seam_metrics.delivered.labels(service, delivery.consumer, "failed").inc()
        return False
    _execute(
        service,
        f"UPDATE {service}_outbox SET delivered_at = clock_timestamp(), last_error = '' WHERE id = %s",
        [delivery.id],
    )
    seam_metrics.delivered.labels(service, delivery.consumer, "ok").inc()
    log.info("event_delivered", app=service, attempt=delivery.attempts)
    return True


def _postpone(service: str, delivery: _Delivery, error: BaseException) -> None:
    wait = min(2.0 ** min(delivery.attempts, 11) * 0.25, MAX_BACKOFF_SECONDS)
    log.warning("event_not_delivered", app=service, attempt=delivery.attempts, error=repr(error))
    _execute(
        service,
        f"UPDATE {service}_outbox SET leased_until = clock_timestamp() + make_interval(secs => %s), last_error = %s"
        " WHERE id = %s AND delivered_at IS NULL",
        [wait, repr(error)[:2000], delivery.id],
    )

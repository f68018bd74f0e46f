"""The relay by the clock: leases, batches, order and the wait after a failure, on planted rows of an outbox that no app uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.events import EventReceipt
from apps.core.seam.answer import Answer
from apps.core.seam.client import registry
from apps.core.seam.events import relay
from tests.world import World

SERVICE = "notifications"  # emits nothing itself
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connections[database_of(SERVICE)].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    sql("DELETE FROM notifications_outbox")
    yield
    sql("DELETE FROM notifications_outbox")


def plant(
    aggregate: uuid.UUID | None = None,
    *,
    sequence: int = 1,
    minute: int = 0,
    attempts: int = 0,
    consumer: str = "workflow",
) -> uuid.UUID:
    """An event that waits; its id."""
    event = new_id()
    sql(
        "INSERT INTO notifications_outbox (id, event_id, consumer, type, aggregate_id, sequence, payload, request_id, trace,"
        " occurred_at, attempts, last_error) VALUES (%s, %s, %s, 'notifications.planted', %s, %s, '{}', 'r', '', %s, %s, '')",
        *(new_id(), event, consumer, aggregate or new_id(), sequence, BEGAN + timedelta(minutes=minute), attempts),
    )
    return event


class Consumer:
    """Takes events, or fails while there are faults left."""

    side, process = "home", "x"

    def __init__(self, *faults: Exception) -> None:
        self.received: list[uuid.UUID] = []
        self.attempts = 0
        self._faults = list(faults)

    def send(self, operation: Any, ctx: Any, arguments: bytes) -> Answer:
        self.attempts += 1
        event = operation.decode_arguments(arguments)["event"]
        if self._faults:
            raise self._faults.pop(0)
        assert ctx.command_key == str(event.event_id)
        self.received.append(event.event_id)
        return Answer(operation.encode_result(EventReceipt(event_id=event.event_id, effect="taken")))


@pytest.fixture
def consumer(here: World) -> Iterator[Consumer]:
    taking = Consumer()
    with registry.routed_by(lambda service, ctx: taking if service == "workflow" else here.resolve(service, ctx)):
        yield taking


def waits(event: uuid.UUID) -> float:
    """The seconds until an event may be tried again."""
    ((seconds,),) = sql(
        "SELECT extract(epoch FROM leased_until - clock_timestamp()) FROM notifications_outbox WHERE event_id = %s",
        event,
    )
    return float(seconds)


@pytest.mark.parametrize(
    ("before", "seconds"), [(0, 0.5), (1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (11, 300), (40, 300)]
)
def test_the_wait_doubles_from_half_a_second_to_five_minutes(consumer: Consumer, before: int, seconds: float):
    event = plant(attempts=before)
    consumer._faults = [RuntimeError("нет связи")]
    assert relay.deliver_due(SERVICE, rounds=1) == 0
    assert seconds - 1 < waits(event) <= seconds
    ((attempts, error, delivered),) = sql(
        "SELECT attempts, last_error, delivered_at FROM notifications_outbox WHERE event_id = %s", event
    )
    assert (attempts, error, delivered) == (before + 1, "RuntimeError('нет связи')", None)


def test_a_success_clears_the_error_and_the_event_is_sent_once(consumer: Consumer):
    event = plant()
    consumer._faults = [RuntimeError("x" * 3000)]
    relay.deliver_due(SERVICE, rounds=1)
    ((error,),) = sql("SELECT last_error FROM notifications_outbox")
    assert len(error) == 2000
    assert relay.deliver_due(SERVICE) == 0  # its wait is not over
    sql("UPDATE notifications_outbox SET leased_until = clock_timestamp() - interval '1 microsecond'")
    assert relay.deliver_due(SERVICE) == 1
    assert sql("SELECT last_error, delivered_at IS NOT NULL, attempts FROM notifications_outbox") == [("", True, 2)]
    assert relay.deliver_due(SERVICE) == 0
    assert consumer.received == [event]


def test_nothing_is_traced_unasked(consumer: Consumer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relay.spans, "of_delivery", lambda *_, **__: pytest.fail("a span"))
    plant()
    assert relay.deliver_due(SERVICE) == 1


def test_a_relay_that_dies_keeps_an_event_for_ten_seconds():
    event = plant()
    (taken,) = relay._take(SERVICE)
    assert (taken.event_id, taken.attempts) == (event, 1)
    assert 9 < waits(event) <= 10
    assert relay._take(SERVICE) == []


def test_one_event_of_an_aggregate_is_under_way_at_a_time(consumer: Consumer):
    aggregate = new_id()
    third, first, second = (plant(aggregate, sequence=number, minute=-number) for number in (3, 1, 2))
    assert [taken.event_id for taken in relay._take(SERVICE)] == [first]
    assert relay._take(SERVICE) == []
    sql("UPDATE notifications_outbox SET leased_until = NULL")
    assert [relay.deliver_due(SERVICE, rounds=1) for _ in range(4)] == [1, 1, 1, 0]
    assert consumer.received == [first, second, third]


def test_consumers_do_not_wait_for_each_other(consumer: Consumer):
    aggregate = new_id()
    plant(aggregate, consumer="documents")
    mine = plant(aggregate, sequence=2)
    taken = {delivery.consumer for delivery in relay._take(SERVICE)}
    assert taken == {"documents", "workflow"}
    sql("DELETE FROM notifications_outbox WHERE consumer = 'documents'")
    sql("UPDATE notifications_outbox SET leased_until = NULL")
    relay.deliver_due(SERVICE)
    assert consumer.received == [mine]


def test_batches_of_fifty_take_the_oldest_first(consumer: Consumer):
    events = [plant(minute=-number) for number in range(51)]
    first = relay._take(SERVICE)
    assert [taken.event_id for taken in first] == events[:0:-1]
    sql("UPDATE notifications_outbox SET leased_until = NULL")
    assert relay.deliver_due(SERVICE, rounds=1) == 50
    assert relay.deliver_due(SERVICE) == 1
    assert consumer.received == [*events[:0:-1], events[0]]


def test_rounds_go_on_until_nothing_is_due(consumer: Consumer):
    aggregate = new_id()
    for number in range(5):
        plant(aggregate, sequence=number)
    assert relay.deliver_due(SERVICE, rounds=2) == 2
    assert relay.deliver_due(SERVICE) == 3
    assert consumer.attempts == 5


def test_the_age_is_that_of_the_oldest_event_that_waits(consumer: Consumer):
    assert relay.measure_age(SERVICE) == 0
    plant()
    age = (datetime.now(UTC) - BEGAN).total_seconds()
    assert abs(relay.measure_age(SERVICE) - age) < 5
    relay.deliver_due(SERVICE)
    assert relay.measure_age(SERVICE) == 0


def test_an_outbox_without_due_events_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(relay, "_take", lambda service: asked.append(service) or [])
    assert relay.deliver_due(SERVICE) == 0
    assert asked == [SERVICE]


def test_a_round_of_the_worker_ends_after_a_hundred_batches(consumer: Consumer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relay, "BATCH", 1)
    for _ in range(102):
        plant()
    assert [relay.deliver_due(SERVICE), relay.deliver_due(SERVICE)] == [100, 2]

"""The log and the outbox of one command: how often it is attempted, and how its events are numbered."""

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError

from apps.contracts.interface import CONTRACTS, ContractCreated
from apps.contracts.models import Outbox
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.context import CallContext, new_context
from apps.core.interface.errors import ServiceBusy
from apps.core.seam.server import commands
from apps.core.seam.server.commands import CommandLog, command, run_command

RECEIVE = CONTRACTS.operations["receive"]
PEOPLE = ("notifications", "workflow")


def run(method: Callable, *, log: CommandLog | None = None, timeout_ms: int = 20_000) -> bytes:
    ctx = new_context(command_key=str(new_id()), timeout_ms=timeout_ms)
    return run_command(log or CommandLog("contracts", lambda _: PEOPLE), RECEIVE, method, ctx, {"event": {}})


def fails(state: str = "40001") -> Exception:
    error = OperationalError("failed")
    error.__cause__ = psycopg.errors.lookup(state)("failed")
    return error


class TestAttempts:
    def test_what_another_attempt_may_cure_is_attempted_five_times(self):
        attempts: list[int] = []

        def method(*, ctx: CallContext, event: object) -> None:
            attempts.append(ctx.remaining_ms())
            raise fails()

        with pytest.raises(ServiceBusy):
            run(method)
        assert len(attempts) == 5

    def test_the_fifth_may_succeed(self):
        attempts: list[int] = []

        def method(*, ctx: CallContext, event: object) -> object:
            attempts.append(1)
            if len(attempts) < 5:
                raise fails()
            with command(ctx) as work:
                return work.finish({"event_id": str(new_id()), "effect": "done"})

        assert b"done" in run(method)
        assert len(attempts) == 5

    @pytest.mark.parametrize("timeout_ms", [-1_000, 0])
    def test_a_caller_that_waits_no_longer_has_one(self, timeout_ms: int):
        attempts: list[int] = []

        def method(*, ctx: CallContext, event: object) -> None:
            attempts.append(1)
            raise fails()

        with pytest.raises(ServiceBusy):
            run(method, timeout_ms=timeout_ms)
        assert attempts == [1]

    def test_a_lasting_fault_is_attempted_once(self):
        attempts: list[int] = []

        def method(*, ctx: CallContext, event: object) -> None:
            attempts.append(1)
            raise fails("22001")

        with pytest.raises(OperationalError):
            run(method)
        assert attempts == [1]

    def test_one_that_is_claimed_meanwhile_is_looked_up_again_and_not_for_ever(self, monkeypatch: pytest.MonkeyPatch):
        claims: list[int] = []

        def claim(*_: object) -> None:
            claims.append(1)
            raise commands._Claimed

        monkeypatch.setattr(CommandLog, "claim", claim)

        def method(*, ctx: CallContext, event: object) -> None:
            with command(ctx):
                pytest.fail("the key is another delivery's")

        with pytest.raises(ServiceBusy):
            run(method)
        assert len(claims) == 5


class TestEvents:
    @pytest.fixture
    def aggregates(self) -> Iterator[tuple[UUID, UUID]]:
        """Two aggregates; their events are taken from the outbox before any relay delivers them."""
        ids = new_id(), new_id()
        yield ids
        Outbox.objects.filter(aggregate_id__in=ids).delete()

    def emit(self, *aggregates: UUID) -> None:
        def method(*, ctx: CallContext, event: object) -> object:
            with command(ctx) as work:
                for aggregate in aggregates:
                    fact = ContractCreated(contract_id=aggregate, number="1", participants=())
                    work.emit(fact, aggregate_id=aggregate)
                return work.finish({"event_id": str(new_id()), "effect": "done"})

        run(method)

    def numbers(self, aggregate: UUID, consumer: str) -> list[int]:
        rows = Outbox.objects.using(database_of("contracts")).filter(aggregate_id=aggregate, consumer=consumer)
        return [*rows.order_by("event_id", "sequence").values_list("sequence", flat=True)]

    def test_they_are_numbered_by_aggregate_and_consumer_in_the_order_in_which_they_were_emitted(self, aggregates):
        first, second = aggregates
        self.emit(first, second, first, first)
        self.emit(second, first)
        for consumer in PEOPLE:
            assert self.numbers(first, consumer) == [1, 2, 3, 4]
            assert self.numbers(second, consumer) == [1, 2]

    def test_the_relay_is_notified_after_the_commit_and_of_events_alone(self, aggregates, monkeypatch):
        notified: list[str] = []
        monkeypatch.setattr(commands.notifier, "notify", notified.append)
        self.emit()
        assert notified == []
        self.emit(aggregates[0])
        assert notified == ["contracts"]

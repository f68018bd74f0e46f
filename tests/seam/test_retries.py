"""After which errors of the database a command is repeated, by SQLSTATE, and what becomes of its connection."""

import psycopg
import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, transaction

from apps.core.database import primaries
from apps.core.database.primaries import database_of
from apps.core.interface.context import new_context
from apps.core.seam.server import retries


def error(state: str, kind: type[Exception] = OperationalError) -> Exception:
    """Django's error above psycopg's, as a failed statement raises it."""
    failed = kind("failed")
    failed.__cause__ = psycopg.errors.lookup(state)("failed")
    return failed


@pytest.mark.parametrize(
    "state",
    [
        "40001",
        "40P01",
        "55P03",
        "57014",
        "25P03",
        "25P04",
        "57P01",
        "57P02",
        "57P03",
        "57P05",
        "08000",
        "08006",
        "08P01",
    ],
)
def test_what_another_attempt_may_cure_is_repeated(state: str):
    assert retries.is_retryable(error(state))
    assert retries.sqlstate(error(state)) == state


@pytest.mark.parametrize("state", ["23505", "22001", "42P01", "53100", "0A000", "25006", "40002"])
def test_a_lasting_fault_is_not(state: str):
    assert not retries.is_retryable(error(state))


def test_a_broken_connection_has_no_state_and_is_repeated():
    assert [retries.is_retryable(kind("broken")) for kind in (OperationalError, InterfaceError)] == [True, True]
    assert [retries.is_retryable(kind("wrong")) for kind in (IntegrityError, DataError)] == [False, False]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The patience, in seconds, with which a primary was looked for; it is found."""
    database_of("contracts")
    patience: list[float] = []

    def refresh(service: str, primary: object, *, patience_seconds: float) -> bool:
        patience.append(patience_seconds)
        return True

    monkeypatch.setattr(primaries, "refresh", refresh)
    return patience


def may_retry(failed: Exception, *, is_last: bool = False, timeout_ms: int = 5_000) -> bool:
    primary = primaries.Primary(database_of("contracts"))
    return retries.may_retry(failed, "contracts", primary, new_context(timeout_ms=timeout_ms), is_last=is_last)


@pytest.mark.parametrize("state", sorted(primaries.REFUSALS))
def test_after_a_refusal_the_primary_is_looked_for_as_long_as_the_caller_waits(asked: list[float], state: str):
    assert may_retry(error(state))
    assert 4 < asked.pop() <= 5
    assert may_retry(error(state), timeout_ms=-1_000)
    assert asked.pop() == 0
    assert not may_retry(error(state), is_last=True)
    assert asked == []


def test_a_refusal_stays_when_no_primary_is_found(asked: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(primaries, "refresh", lambda *_, **__: False)
    assert not may_retry(error(min(primaries.REFUSALS)))


@pytest.mark.parametrize("is_last", [True, False])
def test_another_error_looks_for_nothing(asked: list[float], is_last: bool):
    assert may_retry(error("40001"), is_last=is_last)
    assert not may_retry(error("23505"), is_last=is_last)
    assert asked == []


def test_a_connection_is_given_up_before_the_command_is_repeated_and_not_within_a_transaction():
    alias = database_of("contracts")
    connection.ensure_connection()
    may_retry(error("23505"))
    assert connection.connection is not None
    with transaction.atomic(using=alias):
        retries.discard_broken(alias)
        assert connection.connection is not None
    may_retry(error("40001"))
    assert connection.connection is None

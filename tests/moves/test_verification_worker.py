"""The verifier at its edges: what it compares again, what is certain, bounds, a lost lock and a lost slot."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from apps.core.postgres import advisory_locks, connections, replication
from apps.core.postgres.replication import Slot
from apps.datasync.gateways import changes, comparison, subscription, tables
from apps.datasync.gateways.changes import Changed
from apps.datasync.gateways.comparison import RowDifference
from apps.datasync.gateways.subscription import Ends
from apps.datasync.interface import DifferenceKind, VerificationStatus
from apps.datasync.logic import verification_worker
from apps.datasync.logic.verification_worker import Verifier, _Stopped
from apps.datasync.models import Difference, Verification
from tests.moves.conftest import until

TABLE = "notifications_command"
KEY = "00000000-0000-4000-8000-{:012d}"


@pytest.fixture
def ends(service: str, following, monkeypatch) -> Iterator[Ends]:
    monkeypatch.setattr(verification_worker, "BEAT_PATIENCE_SECONDS", 30)  # what is found is no question of speed
    with subscription.connect(service) as connected:
        verification_worker.drop_slot(connected, service)
        yield connected
        verification_worker.drop_slot(connected, service)
        for connection in (connected.source, connected.target):
            connection.execute(f"DELETE FROM {TABLE} WHERE method = 'test'")
    Verification.objects.filter(target_service=service).delete()


class Lock:
    """Held for so many questions, or for ever."""

    def __init__(self) -> None:
        self.questions: int | None = None

    def __call__(self) -> bool:
        if self.questions is None:
            return True
        self.questions -= 1
        return self.questions >= 0


def record(service: str, **fields: Any) -> Verification:
    """A verification that no thread runs."""
    return Verification.objects.create(target_service=service, **{"status": VerificationStatus.RUNNING, **fields})


def verifier(row: Verification, lock: Lock | None = None) -> Verifier:
    return Verifier(Verification.objects.get(id=row.id), lock or Lock())


@pytest.fixture
def begun(service: str, ends: Ends) -> Verifier:
    """A verifier with its slot, before it has compared anything."""
    verifier_ = verifier(record(service))
    verifier_._begin(ends)
    return verifier_


def put(connection: psycopg.Connection, *numbers: int, key: str = "k") -> None:
    for number in numbers:
        connection.execute(
            f"INSERT INTO {TABLE} (id, method, key, arguments_digest) VALUES (%s, 'test', %s, '')"
            " ON CONFLICT (id) DO UPDATE SET key = excluded.key",
            [KEY.format(number), key],
        )


def arrived(ends: Ends, count: int) -> None:
    query = f"SELECT count(*) FROM {TABLE} WHERE method = 'test'"
    until(lambda: ends.target.execute(query).fetchone() == (count,))


def recorded(verifier_: Verifier) -> dict[tuple[str, ...], bool]:
    """Of each recorded row of the tests' table, whether its difference is certain."""
    rows = Difference.objects.filter(verification=verifier_.row, table=TABLE)
    return {tuple(row.key): row.is_certain for row in rows}


def test_every_row_is_compared_once_and_then_every_change(service: str, ends: Ends):
    put(ends.source, *range(5))
    arrived(ends, 5)
    counts = [ends.source.execute(f"SELECT count(*) FROM {name}") for name in tables.tables_of(ends.source, service)]
    rows = sum(count for cursor in counts for (count,) in cursor)
    row, lock = record(service), Lock()
    described = tables.describe_all(ends.source, service)
    lock.questions = 2 * len(described) + 2
    verifier(row, lock).run()
    row.refresh_from_db()
    assert (row.status, row.error, row.rows_compared) == (VerificationStatus.FOLLOWING, "", rows)
    assert row.rows_total == sum(table.rows for table in described)
    assert row.progress == {table.name: True for table in described}
    assert 0 < row.seconds < 60
    assert row.compared_at is not None
    assert row.backlog == 0
    # Another process goes on: nothing is compared twice, and the changes since are.
    put(ends.target, 2, key="spoilt")
    put(ends.source, 2, key="spoilt too")
    until(lambda: ends.target.execute(f"SELECT 1 FROM {TABLE} WHERE key = 'spoilt too'").fetchone())
    ends.target.execute(f"UPDATE {TABLE} SET key = 'spoilt' WHERE key = 'spoilt too'")
    lock.questions = 2
    again = verifier(row, lock)
    again.run()
    after = Verification.objects.get(id=row.id)
    assert (after.rows_compared, after.compared_at) == (rows, row.compared_at)
    assert after.checked_at > row.checked_at
    assert recorded(again) == {(KEY.format(2),): True}


def test_ranges_are_kept_and_gone_on_with(service: str, ends: Ends, begun: Verifier, monkeypatch):
    put(ends.source, *range(5))
    arrived(ends, 5)
    (rows,) = ends.source.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
    monkeypatch.setattr(comparison, "ranges", partial(comparison.ranges, rows=2))
    table = begun._tables[TABLE]
    begun._is_held.questions = 2
    with pytest.raises(_Stopped):
        begun._compare_all(ends, table)
    row = Verification.objects.get(id=begun.row.id)
    (third,) = ends.source.execute(f"SELECT id::text FROM {TABLE} ORDER BY id OFFSET 1 LIMIT 1").fetchone()
    assert (row.rows_compared, row.progress[TABLE]) == (2, [third])
    again = verifier(row)
    again._begin(ends)
    again._compare_all(ends, table)
    row.refresh_from_db()
    assert (row.rows_compared, row.progress[TABLE]) == (rows, True)
    again._compare_all(ends, table)
    row.refresh_from_db()
    assert row.rows_compared == rows


def test_only_rows_that_differ_are_suspected(ends: Ends, begun: Verifier, monkeypatch):
    put(ends.source, 1, 2)
    arrived(ends, 2)
    put(ends.target, 2, key="spoilt")
    suspected: list[Any] = []
    monkeypatch.setattr(begun, "_suspect", lambda table, keys: suspected.append((table.name, list(keys))))
    monkeypatch.setattr(begun, "_compare_changed", lambda _: None)
    for table in begun._tables.values():
        begun._compare_all(ends, table)
    assert suspected == [(TABLE, [(KEY.format(2),)])]
    assert set(begun.row.progress) == set(begun._tables)


def test_without_its_slot_it_begins_with_the_first_row_again(service: str, ends: Ends):
    row = record(service, progress={TABLE: True}, rows_compared=7, seconds=3.5, status=VerificationStatus.FOLLOWING)
    Difference.objects.create(verification=row, table=TABLE, key=["1"])
    again = verifier(row)
    again._begin(ends)
    row.refresh_from_db()
    assert (row.progress, row.rows_compared, row.seconds) == ({}, 0, 0)
    assert (row.status, row.compared_at, again.row.progress) == (VerificationStatus.RUNNING, None, {})
    assert recorded(again) == {}
    assert replication.slot(ends.slots, subscription.verifying_slot(service)) is not None
    # With it, it goes on.
    Verification.objects.filter(id=row.id).update(progress={TABLE: True}, rows_compared=7)
    Difference.objects.create(verification=row, table=TABLE, key=["1"])
    verifier(row)._begin(ends)
    row.refresh_from_db()
    assert (row.progress, row.rows_compared) == ({TABLE: True}, 7)
    assert recorded(again) == {("1",): False}


def test_a_first_beginning_resets_nothing(service: str, ends: Ends):
    row = record(service, rows_compared=7)
    verifier(row)._begin(ends)
    row.refresh_from_db()
    assert row.rows_compared == 7


@pytest.mark.parametrize(
    ("change", "back", "problem"),
    [
        (
            "notifications_mail RENAME TO elsewhere",
            "elsewhere RENAME TO notifications_mail",
            "notifications_mail is missing on the other side",
        ),
        (
            "notifications_mail ADD COLUMN odd int",
            "notifications_mail DROP COLUMN odd",
            "notifications_mail has different definitions on the two sides: odd",
        ),
    ],
)
def test_other_definitions_fail_it(service: str, ends: Ends, change: str, back: str, problem: str):
    row = record(service)
    ends.target.execute(f"ALTER TABLE {change}")
    try:
        verifier(row).run()
    finally:
        ends.target.execute(f"ALTER TABLE {back}")
    row.refresh_from_db()
    assert (row.status, row.error) == (VerificationStatus.FAILED, problem)
    assert replication.slot(ends.slots, subscription.verifying_slot(service)) is None


def test_a_message_that_is_not_known_fails_it(service: str, ends: Ends, monkeypatch):
    def peek(*_: Any) -> None:
        raise changes.UnknownMessage("Z")

    monkeypatch.setattr(changes, "peek", peek)
    row = record(service)
    verifier(row).run()
    row.refresh_from_db()
    assert (row.status, row.error) == (VerificationStatus.FAILED, "Z")


def test_a_slot_that_was_dropped_meanwhile_fails_it(service: str, ends: Ends, begun: Verifier, monkeypatch):
    monkeypatch.setattr(begun, "_begin", lambda _: None)
    monkeypatch.setattr(begun, "_tables", {})
    verification_worker.drop_slot(ends, service)
    begun.run()
    row = Verification.objects.get(id=begun.row.id)
    assert (row.status, row.error) == (VerificationStatus.FAILED, "its slot is gone")


def test_a_failure_is_recorded_once_and_kept_to_two_thousand_characters(service: str, ends: Ends, begun: Verifier):
    verification_worker.fail(begun.row.id, "я" * 2001)
    verification_worker.fail(begun.row.id, "later")
    row = Verification.objects.get(id=begun.row.id)
    assert (row.status, row.error) == (VerificationStatus.FAILED, "я" * 2000)
    assert replication.slot(ends.slots, begun.slot) is None
    replication.keep_slot(ends.slots, "", begun.slot)  # its successor's
    verification_worker.fail(begun.row.id, "later")
    assert replication.slot(ends.slots, begun.slot) is not None


@pytest.fixture
def clock(monkeypatch):
    """The time that the verifier sees; each sleep moves it on by a quarter of a second, a hundred at most."""
    now = SimpleNamespace(seconds=1000.0, slept=[])

    def sleep(seconds: float) -> None:
        now.slept.append(seconds)
        now.seconds += 0.25
        assert len(now.slept) < 100

    monkeypatch.setattr(verification_worker, "time", SimpleNamespace(monotonic=lambda: now.seconds, sleep=sleep))
    return now


@pytest.mark.parametrize(("may_work", "at"), [(True, [0.0, 0.25, 0.5]), (False, [1.25, 2.5, 3.75])])
def test_a_switch_is_left_alone_unless_it_takes_too_long(
    ends: Ends, begun: Verifier, clock, monkeypatch, may_work: bool, at: list[float]
):
    worked: list[float] = []

    def work(_: Ends) -> None:
        worked.append(clock.seconds - 1000)
        if len(worked) == 3:
            raise _Stopped

    @contextlib.contextmanager
    def outside(*_: Any) -> Iterator[bool]:
        yield may_work

    monkeypatch.setattr(verification_worker, "MAX_REST_SECONDS", 1.0)
    monkeypatch.setattr(advisory_locks, "outside_switches", outside)
    monkeypatch.setattr(begun, "_compare_changed", work)
    monkeypatch.setattr(begun, "_begin", lambda _: None)
    begun._tables = {}
    begun.run()
    assert worked == at


def test_changes_are_read_until_there_are_no_more(ends: Ends, begun: Verifier, monkeypatch):
    key = (KEY.format(1),)
    answers = [
        Changed({"elsewhere": {("1",)}}, {"elsewhere"}, "0/1", is_all=False),
        Changed({TABLE: {key}}, set(), None, is_all=True),
    ]
    rechecked, advanced = [], []
    monkeypatch.setattr(changes, "peek", lambda *_: answers.pop(0))
    monkeypatch.setattr(changes, "advance", lambda _, slot, upto: advanced.append((slot, upto)))
    monkeypatch.setattr(begun, "_recheck", lambda _, table, keys: rechecked.append((table.name, keys)))
    begun._compare_changed(ends)
    assert answers == []
    assert rechecked == [(TABLE, [key])]
    assert advanced == [(begun.slot, "0/1")]


def test_a_table_that_was_truncated_is_compared_as_a_whole(ends: Ends, begun: Verifier, monkeypatch):
    put(ends.target, 1, 2)
    monkeypatch.setattr(changes, "peek", lambda *_: Changed({}, {TABLE}, None))
    begun._compare_changed(ends)
    assert recorded(begun) == {(KEY.format(1),): True, (KEY.format(2),): True}


@pytest.mark.parametrize(
    ("slot", "fails"),
    [
        (None, False),
        (Slot(active=False, lag_bytes=0, kept_bytes=1000, is_lost=False), False),
        (Slot(active=False, lag_bytes=0, kept_bytes=1001, is_lost=False), True),
    ],
)
def test_a_slot_may_keep_as_much_log_as_is_allowed(
    ends: Ends, begun: Verifier, settings, monkeypatch, slot: Slot | None, fails: bool
):
    settings.SYNC_SLOT_MAX_BYTES = 1000
    monkeypatch.setattr(replication, "slot", lambda *_: slot)
    with pytest.raises(_Stopped) if fails else contextlib.nullcontext():
        begun._compare_changed(ends)
    row = Verification.objects.get(id=begun.row.id)
    assert row.error == ("its slot made the source keep 1001 bytes of log" if fails else "")


def suspected(verifier_: Verifier, *numbers: int, age_seconds: float = 0, is_certain: bool = False) -> None:
    """Rows that differed so long ago."""
    for number in numbers:
        row = Difference.objects.create(
            verification=verifier_.row, table=TABLE, key=[KEY.format(number)], is_certain=is_certain
        )
        Difference.objects.filter(id=row.id).update(found_at=timezone.now() - timedelta(seconds=age_seconds))


def test_suspected_rows_are_compared_again_and_those_that_never_rest_under_a_lock(
    ends: Ends, begun: Verifier, monkeypatch
):
    compared: list[tuple[str, int]] = []
    monkeypatch.setattr(begun, "_recheck", lambda _, __, keys: compared.append(("open", len(keys))))
    monkeypatch.setattr(begun, "_recheck_locked", lambda _, __, keys: compared.append(("locked", len(keys))))
    assert begun._recheck_suspects(ends) == 0
    suspected(begun, *range(3), age_seconds=1.5)
    suspected(begun, *range(10, 31), age_seconds=2.5)
    suspected(begun, *range(40, 44), age_seconds=9, is_certain=True)
    assert begun._recheck_suspects(ends) == 24
    assert compared == [("open", 3), ("locked", 20), ("locked", 1)]


def test_exactly_two_seconds_are_not_yet_long(ends: Ends, begun: Verifier, monkeypatch):
    compared: list[str] = []
    monkeypatch.setattr(begun, "_recheck", lambda *_: compared.append("open"))
    monkeypatch.setattr(begun, "_recheck_locked", lambda *_: compared.append("locked"))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    suspected(begun, 1)
    Difference.objects.filter(verification=begun.row).update(found_at=now - timedelta(seconds=2))
    monkeypatch.setattr(verification_worker, "timezone", SimpleNamespace(now=lambda: now))
    begun._recheck_suspects(ends)
    assert compared == ["open"]


def test_a_row_is_compared_under_a_lock(ends: Ends, begun: Verifier):
    put(ends.source, 1, 2)
    arrived(ends, 2)
    put(ends.target, 1, key="spoilt")
    suspected(begun, 1, 2)

    def compared() -> dict[tuple[str, ...], bool]:
        begun._recheck_locked(ends, begun._tables[TABLE], [(KEY.format(1),), (KEY.format(2),)])
        return recorded(begun)

    until(lambda: compared() == {(KEY.format(1),): True})  # a marker that is late costs a round


def test_rows_are_not_kept_locked_for_a_copy_that_stands_still(ends: Ends, begun: Verifier, service: str):
    put(ends.source, 1)
    arrived(ends, 1)
    suspected(begun, 1)
    with connections.control(service, options="") as other, other.transaction():
        other.execute(f"LOCK TABLE extraction.marker_{service} IN EXCLUSIVE MODE")  # no marker arrives
        begun._recheck_locked(ends, begun._tables[TABLE], [(KEY.format(1),)])
    assert recorded(begun) == {(KEY.format(1),): False}
    assert ends.source.execute("SELECT 1").fetchone() == (1,)  # its session did not idle for too long


def test_a_marker_is_awaited_for_less_time_than_a_session_may_idle(ends: Ends, begun: Verifier, monkeypatch):
    (idle_ms,) = re.findall(r"idle_in_transaction_session_timeout=(\d+)", connections.TIMEOUTS)
    waited: list[float] = []
    monkeypatch.setattr(replication, "beat", lambda *_, seconds, **__: waited.append(seconds))
    begun._recheck_locked(ends, begun._tables[TABLE], [(KEY.format(1),)])
    assert 0.1 <= waited[0] <= int(idle_ms) / 1000 - 0.1


def test_a_row_that_another_has_locked_waits_a_round(ends: Ends, begun: Verifier, service: str):
    put(ends.source, 1)
    arrived(ends, 1)
    suspected(begun, 1)
    with connections.control("default", options="") as other, other.transaction():
        other.execute(f"UPDATE {TABLE} SET key = 'open' WHERE id = %s", [KEY.format(1)])
        begun._recheck_locked(ends, begun._tables[TABLE], [(KEY.format(1),)])
    assert recorded(begun) == {(KEY.format(1),): False}


@pytest.mark.parametrize("primary", ["default", "notifications"])
def test_the_primary_comes_first_and_its_marker_is_written_there(
    ends: Ends, begun: Verifier, service: str, monkeypatch, primary: str
):
    asked: list[str] = []
    control = connections.control

    def connect(alias: str, **options: Any) -> Any:
        asked.append(alias)
        return control(alias, **options)

    monkeypatch.setattr(verification_worker, "primaries", SimpleNamespace(database_of=lambda _: primary))
    monkeypatch.setattr(connections, "control", connect)
    both = begun._both(ends)
    assert both.primary is (ends.source if primary == "default" else ends.target)
    assert both.other is (ends.target if primary == "default" else ends.source)
    monkeypatch.setattr(begun, "_recheck", lambda *_, **__: None)
    begun._recheck_locked(ends, begun._tables[TABLE], [(KEY.format(1),)])
    assert asked == [primary]


# A row's hash in the primary, then on the other side, then in the primary again; what becomes of it.
COMPARED = {
    "equal": ({"k": 1}, {"k": 1}, {}, None),
    "in neither": ({}, {}, {}, None),
    "came meanwhile": ({}, {}, {"k": 1}, None),
    "unlike and at rest": ({"k": 1}, {"k": 2}, {"k": 1}, True),
    "unlike and moving": ({"k": 1}, {"k": 2}, {"k": 3}, False),
    "missing and moving": ({"k": 1}, {}, {"k": 3}, True),
    "missing and deleted meanwhile": ({"k": 1}, {}, {}, False),
    "extra": ({}, {"k": 2}, {}, True),
    "extra, and made meanwhile": ({}, {"k": 2}, {"k": 3}, False),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_row_that_differs_is_certain_when_the_primarys_has_stayed_the_same(
    ends: Ends, begun: Verifier, monkeypatch, name: str
):
    before, other, after, is_certain = COMPARED[name]
    key = (KEY.format(1),)
    answers = [{key: value for value in found.values()} for found in (before, other, after)]
    monkeypatch.setattr(comparison, "hashes", lambda *_: answers.pop(0))
    monkeypatch.setattr(comparison, "explain", lambda *_: RowDifference(key, DifferenceKind.CHANGED, ("key",)))
    begun._recheck(ends, begun._tables[TABLE], [key])
    assert recorded(begun) == ({} if is_certain is None else {key: is_certain})


def test_a_certain_row_that_moves_again_stays_so_and_an_equal_one_is_forgotten(
    ends: Ends, begun: Verifier, monkeypatch
):
    moving, equal, arriving, different = ((KEY.format(number),) for number in range(4))
    suspected(begun, 0, 1, is_certain=True)
    answers = [
        {moving: 1, equal: 1, arriving: 1, different: 1},
        {moving: 2, equal: 1, arriving: 2, different: 2},
        {moving: 3, arriving: 1, different: 1},
    ]
    explained = {arriving: None, different: RowDifference(different, DifferenceKind.CHANGED, ("key",))}
    monkeypatch.setattr(comparison, "hashes", lambda *_: answers.pop(0))
    monkeypatch.setattr(comparison, "explain", lambda _, __, key: explained[key])
    begun._recheck(ends, begun._tables[TABLE], [moving, equal, arriving, different])
    assert recorded(begun) == {moving: True, different: True}
    kept = Difference.objects.get(verification=begun.row, key=list(different))
    assert (kept.kind, kept.fields) == (DifferenceKind.CHANGED, ["key"])


def test_rows_of_which_nothing_can_be_said_yet_are_suspected_once(ends: Ends, begun: Verifier, monkeypatch):
    def beat(*_: Any, **__: Any) -> None:
        raise replication.TooSlow("the marker did not arrive")

    monkeypatch.setattr(replication, "beat", beat)
    keys = [(KEY.format(1),), (KEY.format(2),)]
    for _ in range(2):
        begun._recheck(ends, begun._tables[TABLE], keys)
    assert recorded(begun) == dict.fromkeys(keys, False)


def test_it_goes_on_only_while_it_is_wanted_and_its_lock_is_held(begun: Verifier, service: str):
    begun._require_wanted()
    begun._is_held.questions = 0
    with pytest.raises(_Stopped):
        begun._require_wanted()
    begun._is_held.questions = None
    Verification.objects.filter(id=begun.row.id).update(status=VerificationStatus.STOPPED)
    with pytest.raises(_Stopped):
        begun._require_wanted()
    begun._write(rows_compared=9)
    assert Verification.objects.get(id=begun.row.id).rows_compared == 0


@pytest.mark.parametrize(
    ("busy", "spent_seconds", "slept"),
    [((4, 9), 1.5, []), ((5, 0), 1.5, [1.5]), ((5, 0), 9.0, [2.0]), (None, 1.5, [])],
)
def test_a_busy_source_is_given_time(begun: Verifier, settings, clock, busy, spent_seconds: float, slept: list[float]):
    settings.SYNC_BUSY_SESSIONS = 4
    answer = SimpleNamespace(fetchone=lambda: busy)
    begun._yield_to_writers(SimpleNamespace(source=SimpleNamespace(execute=lambda _: answer)), spent_seconds)
    assert clock.slept == slept


def test_keys_are_divided_in_order_and_none_is_left_out():
    keys = [(str(number),) for number in range(1001)]
    batches = list(verification_worker._batches(keys))
    assert [len(batch) for batch in batches] == [500, 500, 1]
    assert [key for batch in batches for key in batch] == keys


def test_one_thread_runs_it_and_another_begins_when_that_has_ended(service: str, ends: Ends, monkeypatch):
    begun, goes_on = [], threading.Event()

    def run(verification_id: Any) -> None:
        begun.append((verification_id, threading.current_thread().daemon))
        goes_on.wait(10)

    monkeypatch.setattr(verification_worker, "_run", run)
    row = record(service)
    verification_worker.ensure_running(row.id)
    verification_worker.ensure_running(row.id)
    until(lambda: begun)
    assert begun == [(row.id, True)]
    goes_on.set()
    verification_worker._threads[row.id].join()
    verification_worker.ensure_running(row.id)
    verification_worker._threads[row.id].join()
    assert len(begun) == 2


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (psycopg.OperationalError("the server is gone"), VerificationStatus.RUNNING, ""),
        (RuntimeError("a fault"), VerificationStatus.FAILED, "RuntimeError('a fault')"),
    ],
)
def test_an_unreachable_server_leaves_it_live_and_a_fault_ends_it(
    service: str, ends: Ends, monkeypatch, error: Exception, status: VerificationStatus, problem: str
):
    def run(_: Verifier) -> None:
        raise error

    monkeypatch.setattr(Verifier, "run", run)
    row = record(service)
    verification_worker._run(row.id)
    row.refresh_from_db()
    assert (row.status, row.error) == (status, problem)


def test_a_second_process_runs_nothing_while_the_first_compares(service: str, ends: Ends, monkeypatch):
    ran: list[Any] = []
    monkeypatch.setattr(Verifier, "run", lambda verifier_: ran.append(verifier_.row.id))
    row = record(service)
    with verification_worker.exclusive(f"verify {row.id}"):
        verification_worker._run(row.id)
    assert ran == []
    verification_worker._run(row.id)
    assert ran == [row.id]

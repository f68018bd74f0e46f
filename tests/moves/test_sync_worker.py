"""The runner of a synchronisation at its edges: bounds, lost locks, refusals, and a target that cannot hold a row."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from apps.core.postgres import replication
from apps.core.postgres.replication import Slot
from apps.core.seam.client.registry import call
from apps.datasync.gateways import row_copy, subscription, tables
from apps.datasync.interface import DATASYNC, SyncPhase, SyncStatus, SyncType, VerificationStatus
from apps.datasync.logic import sync_worker
from apps.datasync.logic.sync_worker import GivenUp, SyncRunner
from apps.datasync.models import Sync, Verification
from tests.moves.conftest import ctx, keys_of, settle, slots, stop, until

TABLE = "notifications_command"
ROW = f"INSERT INTO {TABLE} (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'bulk', %s, '')"


@pytest.fixture(autouse=True)
def nothing_left(service: str, both, prepared: str):
    settle(service)
    stop(service)
    yield
    stop(service)
    for connection in (both.shared, both.own):
        connection.execute(f"DELETE FROM {TABLE} WHERE method = 'bulk'")
    assert slots(both) == []


def record(service: str, *, table: str = TABLE, sync_type: SyncType = SyncType.FULL, **fields: Any) -> Sync:
    """A synchronisation that no thread runs yet."""
    fields = {"status": SyncStatus.RUNNING, "phase": SyncPhase.WAITING, **fields}
    return Sync.objects.create(source_table=table, target_service=service, sync_type=sync_type, **fields)


def runner(row: Sync, *, held: bool = True) -> SyncRunner:
    return SyncRunner(row.id, lambda: held)


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_slot_may_keep_as_much_log_as_is_allowed(service: str, settings, kept: int):
    settings.SYNC_SLOT_MAX_BYTES = 1000
    runner(record(service))._require_room(Slot(active=True, lag_bytes=0, kept_bytes=kept, is_lost=False))
    runner(Sync.objects.latest("started_at"))._require_room(None)


def test_a_slot_that_keeps_a_byte_more_or_has_lost_log_ends_it(service: str, settings):
    settings.SYNC_SLOT_MAX_BYTES = 1000
    sync = runner(record(service))
    with pytest.raises(GivenUp, match="keep 1001 bytes of log, more than 1000"):
        sync._require_room(Slot(active=True, lag_bytes=0, kept_bytes=1001, is_lost=False))
    with pytest.raises(GivenUp, match="has removed log"):
        sync._require_room(Slot(active=True, lag_bytes=0, kept_bytes=0, is_lost=True))


def test_a_copy_is_begun_three_times_and_no_more(service: str):
    runner(record(service, attempt=2)).run()
    done = Sync.objects.latest("started_at")
    assert (done.status, done.attempt) == (SyncStatus.COMPLETED, 3)
    runner(record(service, attempt=3)).run()
    ended = Sync.objects.latest("started_at")
    assert (ended.status, ended.attempt) == (SyncStatus.FAILED, 3)
    assert ended.error == "the copy was begun 3 times and never finished"


def test_a_copy_counts_its_rows_and_bytes_from_nought(service: str, both):
    for number in range(3):
        both.shared.execute(ROW, [str(number)])
    both.shared.execute(f"ANALYZE {TABLE}")
    (table,) = tables.describe_all(both.shared, service, TABLE)
    runner(record(service, records_processed=50, bytes_processed=70)).run()
    done = Sync.objects.latest("started_at")
    (rows,) = both.own.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
    assert (done.records_processed, done.records_total) == (rows, table.rows)
    assert done.bytes_processed == done.bytes_total == table.pages * tables.PAGE_BYTES
    assert done.attempt == 1
    assert done.copied_at == done.finished_at is not None
    assert (done.phase, done.status, done.error) == (SyncPhase.ENDED, SyncStatus.COMPLETED, "")


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("notifications_mail ADD COLUMN odd int", "notifications_mail DROP COLUMN odd"),
        ("notifications_mail RENAME TO elsewhere", "elsewhere RENAME TO notifications_mail"),
    ],
)
def test_a_table_that_is_defined_differently_is_not_copied(service: str, both, change: str, back: str):
    both.own.execute(f"ALTER TABLE {change}")
    try:
        runner(record(service, table="")).run()
    finally:
        both.own.execute(f"ALTER TABLE {back}")
    ended = Sync.objects.latest("started_at")
    assert ended.status == SyncStatus.FAILED
    assert ended.error == "notifications_mail is defined differently in the target: are its migrations applied?"


def test_rows_that_the_target_refuses_leave_an_empty_table_with_its_keys(service: str, both):
    before = keys_of(both.own)
    both.shared.execute(ROW, ["refused"])
    both.own.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT never CHECK (key <> 'refused') NOT VALID")
    try:
        runner(record(service)).run()
    finally:
        both.own.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT never")
    ended = Sync.objects.latest("started_at")
    assert ended.status == SyncStatus.FAILED
    assert ended.error.startswith('new row for relation "notifications_command" violates check constraint "never"')
    assert "\n" not in ended.error
    assert both.own.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)
    assert keys_of(both.own) == before


@pytest.mark.parametrize("given_up", [row_copy.Stopped, GivenUp])
def test_a_copy_that_ends_early_leaves_an_empty_table_with_its_keys(service: str, both, monkeypatch, given_up):
    before = keys_of(both.own)

    def end(*_: Any, **__: Any) -> None:
        both.own.execute(ROW, ["half"])
        raise given_up("it ends")

    monkeypatch.setattr(row_copy, "copy", end)
    row = record(service)
    runner(row).run()
    assert both.own.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)
    assert keys_of(both.own) == before
    row.refresh_from_db()
    assert row.status == (SyncStatus.FAILED if given_up is GivenUp else SyncStatus.RUNNING)


def test_a_primary_is_refused_and_the_record_says_so(service: str, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise row_copy.IsPrimary("that database is the primary")

    monkeypatch.setattr(row_copy, "empty", refuse)
    runner(record(service)).run()
    ended = Sync.objects.latest("started_at")
    assert (ended.status, ended.error) == (SyncStatus.FAILED, "that database is the primary")


def test_one_that_was_cancelled_before_it_began_touches_nothing(service: str, both):
    both.own.execute(ROW, ["kept"])
    row = record(service)
    sync = runner(row)
    Sync.objects.filter(id=row.id).update(status=SyncStatus.CANCELLED)
    sync.run()
    assert both.own.execute(f"SELECT count(*) FROM {TABLE} WHERE key = 'kept'").fetchone() == (1,)
    row.refresh_from_db()
    assert (row.status, row.phase, row.attempt) == (SyncStatus.CANCELLED, SyncPhase.WAITING, 0)


def test_one_whose_lock_is_lost_touches_nothing_and_stays_live(service: str, both):
    both.own.execute(ROW, ["kept"])
    row = record(service)
    runner(row, held=False).run()
    assert both.own.execute(f"SELECT count(*) FROM {TABLE} WHERE key = 'kept'").fetchone() == (1,)
    row.refresh_from_db()
    assert (row.status, row.phase) == (SyncStatus.RUNNING, SyncPhase.WAITING)


def test_what_was_ended_meanwhile_is_neither_written_nor_failed(service: str):
    row = record(service, status=SyncStatus.CANCELLED)
    sync_worker.write(row, attempt=9)
    sync_worker.fail(row, "too late")
    row.refresh_from_db()
    assert (row.status, row.attempt, row.error) == (SyncStatus.CANCELLED, 0, "")


def test_a_long_problem_is_kept_to_two_thousand_characters(service: str, monkeypatch):
    row = record(service)
    monkeypatch.setattr(subscription, "end", lambda *_: [])
    sync_worker.fail(row, "я" * 2001)
    row.refresh_from_db()
    assert row.error == "я" * 2000
    monkeypatch.setattr(subscription, "end", lambda *_: ["lc_slot"])
    row = record(service)
    sync_worker.fail(row, "я" * 1995)
    row.refresh_from_db()
    assert row.error == "я" * 1995 + " (slo"
    assert row.finished_at is not None


@pytest.fixture
def clock(monkeypatch):
    """The time that the runner sees; each sleep moves it on by a quarter of a second."""
    now = SimpleNamespace(seconds=1000.0, slept=[])

    def sleep(seconds: float) -> None:
        now.slept.append(seconds)
        now.seconds += 0.25

    monkeypatch.setattr(sync_worker, "time", SimpleNamespace(monotonic=lambda: now.seconds, sleep=sleep))
    return now


def test_a_pause_that_is_too_long_gives_the_snapshot_up(service: str, clock, monkeypatch):
    row = record(service)
    sync = runner(row)
    assert sync._wanted() is True
    Sync.objects.filter(id=row.id).update(status=SyncStatus.PAUSED)
    clock.seconds += 1
    began = clock.seconds
    monkeypatch.setattr(sync_worker, "PAUSE_HOLDS_SECONDS", 1.0)
    assert sync._wanted() is False
    assert clock.seconds - began == 1.25


def test_a_chunk_waits_while_it_is_paused_and_is_not_wanted_after_a_cancel(service: str, clock, monkeypatch):
    row = record(service, status=SyncStatus.PAUSED)
    sync = runner(row)
    answers = iter([SyncStatus.PAUSED, SyncStatus.PAUSED, SyncStatus.RUNNING])

    def current() -> SyncStatus:
        sync._status = next(answers)
        return sync._status

    monkeypatch.setattr(sync, "_current", current)
    assert sync._wanted() is True
    assert clock.slept == [0.2, 0.2]
    monkeypatch.undo()
    Sync.objects.filter(id=row.id).update(status=SyncStatus.CANCELLED)
    assert sync._wanted() is False


def test_the_recorded_status_is_read_five_times_a_second_or_at_once(service: str, clock):
    row = record(service)
    sync = runner(row)
    assert sync._current() is SyncStatus.RUNNING
    Sync.objects.filter(id=row.id).update(status=SyncStatus.PAUSED)
    clock.seconds += 0.125
    assert sync._current() is SyncStatus.RUNNING
    assert sync._current(fresh=True) is SyncStatus.PAUSED
    Sync.objects.filter(id=row.id).update(status=SyncStatus.RUNNING)
    clock.seconds += 0.25
    assert sync._current() is SyncStatus.RUNNING


def test_a_lost_lock_stops_at_the_next_read(service: str, clock):
    sync = runner(record(service), held=False)
    with pytest.raises(row_copy.Stopped):
        sync._current()
    assert sync._current() is SyncStatus.RUNNING  # not read again so soon


def test_a_lock_belongs_to_one_and_is_lost_with_its_connection(both):
    with sync_worker.exclusive("a test") as is_held:
        assert is_held is not None
        assert is_held()
        with sync_worker.exclusive("a test") as second:
            assert second is None
        with sync_worker.exclusive("another") as other:
            assert other is not None
        both.shared.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
        )
        assert until(lambda: not is_held())


def test_one_thread_runs_it_and_another_begins_when_that_has_ended(service: str, monkeypatch):
    begun, goes_on = [], threading.Event()

    def run(sync_id: Any) -> None:
        begun.append((sync_id, threading.current_thread().daemon))
        goes_on.wait(10)

    monkeypatch.setattr(sync_worker, "_run", run)
    row = record(service)
    sync_worker.ensure_running(row.id)
    sync_worker.ensure_running(row.id)
    until(lambda: begun)
    assert begun == [(row.id, True)]
    goes_on.set()
    sync_worker._threads[row.id].join()
    sync_worker.ensure_running(row.id)
    sync_worker._threads[row.id].join()
    assert len(begun) == 2


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (psycopg.OperationalError("the server is gone"), SyncStatus.RUNNING, ""),
        (RuntimeError("a fault"), SyncStatus.FAILED, "internal error"),
    ],
)
def test_an_unreachable_server_leaves_it_live_and_a_fault_ends_it(
    service: str, monkeypatch, error: Exception, status: SyncStatus, problem: str
):
    def run(_: SyncRunner) -> None:
        raise error

    monkeypatch.setattr(SyncRunner, "run", run)
    row = record(service)
    sync_worker._run(row.id)
    row.refresh_from_db()
    assert (row.status, row.error) == (status, problem)


def test_a_second_process_runs_nothing_while_the_first_holds_the_line(service: str, monkeypatch):
    ran: list[Any] = []
    monkeypatch.setattr(SyncRunner, "run", lambda sync: ran.append(sync.row.id))
    row = record(service)
    with sync_worker.exclusive(f"datasync {sync_worker.line_of(row).name}"):
        sync_worker._run(row.id)
    assert ran == []
    sync_worker._run(row.id)
    assert ran == [row.id]


@pytest.fixture
def followed_line(service: str, both):
    """One table, copied and followed by no thread: the runner's lock was lost after its first round."""
    row = record(service, sync_type=SyncType.INCREMENTAL)
    answers = iter([True] * 3)
    SyncRunner(row.id, lambda: next(answers, False)).run()
    row.refresh_from_db()
    assert (row.status, row.phase) == (SyncStatus.RUNNING, SyncPhase.FOLLOWING)
    return row


def test_a_follower_goes_on_without_a_second_copy(service: str, both, followed_line: Sync):
    assert (followed_line.attempt, followed_line.copied_at is not None) == (1, True)
    both.own.execute(ROW, ["of its own"])  # a second copy would empty the table
    answers = iter([True] * 2)
    SyncRunner(followed_line.id, lambda: next(answers, False)).run()
    assert both.own.execute(f"SELECT count(*) FROM {TABLE} WHERE key = 'of its own'").fetchone() == (1,)
    row = Sync.objects.get(id=followed_line.id)
    assert (row.copied_at, row.seen_at is not None, row.lag_bytes is not None) == (followed_line.copied_at, True, True)


def test_a_follower_whose_slot_is_gone_is_given_up(service: str, both, followed_line: Sync, monkeypatch):
    monkeypatch.setattr(replication, "slot", lambda *_: None)
    monkeypatch.setattr(subscription, "is_following", lambda *_: True)
    runner(followed_line).run()
    row = Sync.objects.get(id=followed_line.id)
    assert (row.status, row.error.split(" (")[0]) == (SyncStatus.FAILED, "its slot is gone")


def test_a_follower_that_was_cancelled_meanwhile_is_not_failed(service: str, both, followed_line: Sync, monkeypatch):
    sync = runner(followed_line)
    monkeypatch.setattr(replication, "slot", lambda *_: None)
    monkeypatch.setattr(subscription, "is_following", lambda *_: True)
    beat = sync._beat

    def cancel(ends: subscription.Ends) -> None:
        beat(ends)
        Sync.objects.filter(id=followed_line.id).update(status=SyncStatus.CANCELLED)

    monkeypatch.setattr(sync, "_beat", cancel)
    sync.run()
    row = Sync.objects.get(id=followed_line.id)
    assert (row.status, row.error) == (SyncStatus.CANCELLED, "")
    monkeypatch.undo()
    with subscription.connect(service) as ends:
        subscription.end(ends, sync_worker.line_of(row))


def test_a_paused_follower_applies_nothing_and_sees_nothing_newer(service: str, both, followed_line: Sync):
    query = "SELECT subenabled FROM pg_subscription WHERE subname = %s"
    name = sync_worker.line_of(followed_line).name
    for status, enabled in ((SyncStatus.PAUSED, False), (SyncStatus.RUNNING, True)):
        before = Sync.objects.get(id=followed_line.id).seen_at
        Sync.objects.filter(id=followed_line.id).update(status=status)
        answers = iter([True] * 2)
        SyncRunner(followed_line.id, lambda answers=answers: next(answers, False)).run()
        assert both.own.execute(query, [name]).fetchone() == (enabled,)
        assert (Sync.objects.get(id=followed_line.id).seen_at != before) is enabled


def test_a_copy_of_all_tables_stops_the_verification_of_what_it_empties(service: str, both):
    other = Verification.objects.create(target_service="contracts", status=VerificationStatus.RUNNING)
    live = Verification.objects.create(target_service=service, status=VerificationStatus.FOLLOWING)
    runner(record(service)).run()
    live.refresh_from_db()
    assert live.status == VerificationStatus.FOLLOWING  # one table alone is none of its business
    runner(record(service, table="")).run()
    live.refresh_from_db()
    other.refresh_from_db()
    assert (live.status, other.status) == (VerificationStatus.STOPPED, VerificationStatus.RUNNING)
    other.delete()


def test_a_follower_is_refused_when_another_has_begun_to_fill_the_target(service: str, both, monkeypatch):
    tidy = row_copy.tidy

    def tidied(target: psycopg.Connection, chosen: Any) -> None:
        tidy(target, chosen)
        with subscription.connect(service) as ends:
            row_copy.empty(ends.target, service, chosen, by="a successor")

    monkeypatch.setattr(row_copy, "tidy", tidied)
    row = record(service, table="", sync_type=SyncType.INCREMENTAL)
    runner(row).run()
    row.refresh_from_db()
    assert (row.status, row.error.split(" (")[0]) == (
        SyncStatus.FAILED,
        "another synchronisation has begun to fill the target",
    )
    with subscription.connect(service) as ends:
        row_copy.mend(ends.target, service)


def test_following_after_a_pause_keeps_the_name_of_its_line(service: str):
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, source_table=TABLE, sync_type=SyncType.INCREMENTAL)
    row = Sync.objects.get(id=sync.sync_id)
    line = sync_worker.line_of(row)
    assert (line.service, line.name, line.is_whole) == (service, f"lc_sync_{row.id.hex[:16]}", False)
    assert sync_worker.line_of(record(service, table="", status=SyncStatus.CANCELLED)).name == f"lc_{service}"

"""Running a synchronisation: one thread in the first process that is asked. The others find its lock held and return.

The thread copies, builds keys, follows, and records its progress. When its process dies, the next process that is asked
begins the copy anew or continues to follow: the subscription belongs to the database server and needs no process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import close_old_connections
from django.db.models import F
from django.utils import timezone

from apps.core.postgres import advisory_locks, connections, fences, replication
from apps.core.postgres.advisory_locks import Space
from apps.datasync.gateways import row_copy, subscription, tables
from apps.datasync.gateways.row_copy import Progress, Stopped
from apps.datasync.gateways.subscription import SHARED, Ends, Line
from apps.datasync.interface import SyncPhase, SyncStatus, SyncType, VerificationStatus
from apps.datasync.models import Sync, Verification

MAX_ATTEMPTS = 3
BEAT_SECONDS = 0.5
BEAT_PATIENCE_SECONDS = 5
# A paused copy holds a snapshot of the source; after this time it releases the snapshot, and later begins anew.
PAUSE_HOLDS_SECONDS = 600
LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)
log = structlog.get_logger(__name__)
_threads: dict[UUID, threading.Thread] = {}
_starting = threading.Lock()


class GivenUp(Exception):
    """The synchronisation cannot continue; the message says why."""


def ensure_running(sync_id: UUID) -> None:
    """Run a synchronisation in a thread of this process, unless this process or another runs it already."""
    with _starting:
        thread = _threads.get(sync_id)
        if thread is None or not thread.is_alive():
            _threads[sync_id] = thread = threading.Thread(
                target=_run, args=(sync_id,), name=f"sync-{sync_id}", daemon=True
            )
            thread.start()


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[Callable[[], bool] | None]:
    """Hold a lock that one process at a time can have. Yields a check that it is still held, or None if another has it.

    It is a session lock in the shared database, so it ends with the process, or with that connection.
    """
    with connections.control(SHARED, options="") as connection:
        if not advisory_locks.acquire(connection, Space.WORK, name):
            yield None
            return

        def is_held() -> bool:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:
                return False
            return True

        yield is_held


def _run(sync_id: UUID) -> None:
    try:
        # One at a time per line, not per synchronisation: a cancelled one may still be at its last chunk.
        with exclusive(f"datasync {line_of(Sync.objects.get(id=sync_id)).name}") as is_held:
            if is_held is not None:
                SyncRunner(sync_id, is_held).run()
    except psycopg.OperationalError as error:  # a server is unreachable: the next process that is asked continues
        log.warning("sync_interrupted", sync=str(sync_id), error=str(error))
    except Exception:
        log.exception("sync_failed", sync=str(sync_id))
        with contextlib.suppress(Exception):
            fail(Sync.objects.get(id=sync_id), "internal error")
    finally:
        close_old_connections()


def write(row: Sync, **fields: Any) -> None:
    """Update fields of a live synchronisation; one that was ended meanwhile stays as it is."""
    Sync.objects.filter(id=row.id, status__in=LIVE).update(**fields)


def fail(row: Sync, problem: str) -> None:
    """End a synchronisation as failed, and drop its publication, slots and subscription."""
    live = Sync.objects.filter(id=row.id, status__in=LIVE)
    ended = {"status": SyncStatus.FAILED, "phase": SyncPhase.ENDED, "finished_at": timezone.now()}
    if not live.update(**ended, error=problem[:2000]):
        return  # it was ended meanwhile: objects of its name may be its successor's
    with contextlib.suppress(psycopg.OperationalError), subscription.connect(row.target_service) as ends:
        if dropped := subscription.end(ends, line_of(row)):
            message = f"{problem} (slots dropped: {', '.join(dropped)})"
            Sync.objects.filter(id=row.id).update(error=message[:2000])


def line_of(row: Sync) -> Line:
    """The names of a synchronisation's publication, slot and subscription."""
    return subscription.line_of(row.target_service, row.source_table, row.id)


class SyncRunner:
    """Runs one synchronisation from its recorded state until it ends or is stopped."""

    def __init__(self, sync_id: UUID, is_held: Callable[[], bool]) -> None:
        self.row = Sync.objects.get(id=sync_id)
        self.line = line_of(self.row)
        self.is_incremental = self.row.sync_type == SyncType.INCREMENTAL
        self._is_held = is_held
        self._lock = threading.Lock()
        self._status_read_at = 0.0
        self._status = SyncStatus(self.row.status)

    def run(self) -> None:
        """Copy and follow until the synchronisation has ended, or the lock is lost."""
        try:
            with subscription.connect(self.row.target_service) as ends:
                if not (self.is_incremental and subscription.is_following(ends, self.line)):
                    self._copy(ends)
                if self.is_incremental:
                    self._follow(ends)
        except Stopped:
            return
        except (GivenUp, row_copy.IsPrimary, psycopg.IntegrityError) as error:
            fail(self.row, str(error).split("\n")[0])

    def _copy(self, ends: Ends) -> None:
        if self._current(fresh=True) not in LIVE:
            raise Stopped
        row_copy.mend(ends.target, self.row.target_service)
        chosen = self._described(ends)
        write(
            self.row,
            phase=SyncPhase.COPYING,
            attempt=F("attempt") + 1,
            copying_since=timezone.now(),
            records_processed=0,
            records_total=sum(table.rows for table in chosen),
            bytes_processed=0,
            bytes_total=sum(table.pages for table in chosen) * tables.PAGE_BYTES,
        )
        subscription.end(ends, self.line)  # remains of an earlier attempt
        if self.line.is_whole:
            self._forget_verification(ends)
        if self.is_incremental:
            subscription.begin(ends, self.line, [table.name for table in chosen])
        row_copy.empty(ends.target, self.row.target_service, chosen, by=str(self.row.id))
        with self._snapshot() as at:
            try:
                self._copy_rows(ends, chosen, at)
            except (Stopped, GivenUp, psycopg.IntegrityError):
                # Half a table without keys is of no use: leave the tables empty, with their keys.
                row_copy.empty(ends.target, self.row.target_service, chosen, by=str(self.row.id), again=True)
                row_copy.build_keys(ends.target)
                raise
            row_copy.tidy(ends.target, chosen)
            now = timezone.now()
            if self.is_incremental:
                # Recorded before following begins: after a crash in between the copy begins anew; a follower is full.
                if self.line.is_whole and not fences.filled(ends.target, self.row.target_service, str(self.row.id)):
                    raise GivenUp("another synchronisation has begun to fill the target")
                subscription.follow(ends, self.line, subscription.temporary(self.line))
                write(self.row, phase=SyncPhase.FOLLOWING, copied_at=now, attempt=1)
            else:
                write(self.row, phase=SyncPhase.ENDED, status=SyncStatus.COMPLETED, copied_at=now, finished_at=now)

    def _forget_verification(self, ends: Ends) -> None:
        """Stop the service's verification: the tables it compared are emptied."""
        live = Verification.objects.filter(target_service=self.row.target_service)
        live.filter(status__in=(VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)).update(
            status=VerificationStatus.STOPPED
        )
        replication.drop_slot(ends.slots, subscription.verifying_slot(self.row.target_service))

    def _described(self, ends: Ends) -> tuple[tables.Table, ...]:
        """The tables to copy. Raises: GivenUp when the target's definitions differ, or after too many attempts."""
        row = self.row
        if row.attempt >= MAX_ATTEMPTS:
            raise GivenUp(f"the copy was begun {row.attempt} times and never finished")
        chosen = tables.describe_all(ends.source, row.target_service, row.source_table)
        of_target = {
            table.name: table for table in tables.describe_all(ends.target, row.target_service, row.source_table)
        }
        for table in chosen:
            if table.name not in of_target or of_target[table.name].columns != table.columns:
                raise GivenUp(f"{table.name} is defined differently in the target: are its migrations applied?")
        return chosen

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[str]:
        """The snapshot to copy. One to be followed belongs to a temporary slot, which ends with this process."""
        if not self.is_incremental:
            with row_copy.snapshot(SHARED) as at:
                yield at
            return
        with (
            connections.replicator(SHARED, for_slots=True) as replicating,
            replication.temporary_slot(replicating, subscription.temporary(self.line)) as at,
        ):
            yield at

    def _copy_rows(self, ends: Ends, chosen: tuple[tables.Table, ...], at: str) -> None:
        def report(progress: Progress) -> None:
            with self._lock:
                write(
                    self.row,
                    records_processed=F("records_processed") + progress.rows,
                    bytes_processed=F("bytes_processed") + progress.bytes,
                )
                self._require_room(replication.slot(ends.slots, subscription.temporary(self.line)))
            close_old_connections()

        row_copy.copy(
            SHARED, self.row.target_service, chosen, at=at, jobs=settings.SYNC_JOBS, report=report, wanted=self._wanted
        )
        write(self.row, phase=SyncPhase.BUILDING_KEYS)
        row_copy.build_keys(ends.target)

    def _wanted(self) -> bool:
        """Whether to copy another chunk. Blocks while the synchronisation is paused."""
        with self._lock:
            paused_since = time.monotonic()
            while self._current() is SyncStatus.PAUSED:
                if time.monotonic() - paused_since > PAUSE_HOLDS_SECONDS:
                    return False
                time.sleep(0.2)
            close_old_connections()
            return self._status is SyncStatus.RUNNING

    def _current(self, *, fresh: bool = False) -> SyncStatus:
        """The recorded status, read at most five times a second unless `fresh`. Raises: Stopped if the lock is lost."""
        if fresh or time.monotonic() - self._status_read_at > 0.2:
            self._status = SyncStatus(Sync.objects.values_list("status", flat=True).get(id=self.row.id))
            self._status_read_at = time.monotonic()
            if not self._is_held():
                raise Stopped
        return self._status

    def _follow(self, ends: Ends) -> None:
        was_paused: bool | None = None
        write(self.row, phase=SyncPhase.FOLLOWING)  # the process that subscribed may have died before it recorded this
        while (status := self._current(fresh=True)) in LIVE:
            is_paused = status is SyncStatus.PAUSED
            if is_paused is not was_paused:
                replication.pause(ends.target, self.line.name, paused=is_paused)
                was_paused = is_paused
            fields: dict[str, Any] = {}
            if not is_paused:
                began = timezone.now()
                with contextlib.suppress(replication.TooSlow):
                    self._beat(ends)
                    fields["seen_at"] = began
            slot = replication.slot(ends.slots, self.line.name)
            if slot is None:
                if self._current(fresh=True) in LIVE:
                    raise GivenUp("its slot is gone")
                return
            self._require_room(slot)
            write(self.row, lag_bytes=slot.lag_bytes, **fields)
            close_old_connections()
            time.sleep(BEAT_SECONDS)

    def _beat(self, ends: Ends) -> None:
        replication.beat(
            ends.source, ends.target, self.line.service, seconds=BEAT_PATIENCE_SECONDS, name=self.line.marker
        )

    def _require_room(self, slot: replication.Slot | None) -> None:
        """Check that the slot does not fill the source's disk. Raises: GivenUp."""
        if slot is None:
            return
        if slot.is_lost:
            raise GivenUp("the source has removed log that was still to be followed (max_slot_wal_keep_size)")
        if slot.kept_bytes > settings.SYNC_SLOT_MAX_BYTES:
            raise GivenUp(
                f"its slot made the source keep {slot.kept_bytes} bytes of log,"
                f" more than {settings.SYNC_SLOT_MAX_BYTES}"
            )

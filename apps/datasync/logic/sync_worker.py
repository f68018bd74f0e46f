"""Carrying a synchronisation: one thread in one process, whoever is asked first. Others see that it is carried and do nothing.

It copies, builds keys, follows, and writes down how far it is. When its process dies, the next one that is asked begins the copy anew,
or goes on following: the subscription is the server's and needs nobody.
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
# A copy that is paused holds a moment of the source; after so long it lets go and later begins anew.
PAUSE_HOLDS_SECONDS = 600
LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)
log = structlog.get_logger(__name__)
_carried: dict[UUID, threading.Thread] = {}
_starting = threading.Lock()


class GivenUp(Exception):
    """It cannot go on; the message says why."""


def see_to(sync_id: UUID) -> None:
    """Carry it from here on, unless this process or another does already."""
    with _starting:
        thread = _carried.get(sync_id)
        if thread is None or not thread.is_alive():
            _carried[sync_id] = thread = threading.Thread(
                target=_run, args=(sync_id,), name=f"sync-{sync_id}", daemon=True
            )
            thread.start()


@contextlib.contextmanager
def held(name: str) -> Iterator[Callable[[], bool] | None]:
    """What only one process at a time may do: a question whether it still may, or None where another does it.

    The right is a lock of a session with the shared database, so it ends with the process, or with that connection.
    """
    with connections.control(SHARED, options="") as connection:
        if not advisory_locks.acquire(connection, Space.WORK, name):
            yield None
            return

        def still() -> bool:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:
                return False
            return True

        yield still


def _run(sync_id: UUID) -> None:
    try:
        # One at a time for a line, not for a synchronisation: a cancelled one may still be at its last chunk.
        with held(f"datasync {line_of(Sync.objects.get(id=sync_id)).name}") as still:
            if still is not None:
                Carrier(sync_id, still).carry()
    except psycopg.OperationalError as error:  # a server is away: whoever is asked next goes on
        log.warning("sync_interrupted", sync=str(sync_id), error=str(error))
    except Exception:
        log.exception("sync_failed", sync=str(sync_id))
        with contextlib.suppress(Exception):
            fail(Sync.objects.get(id=sync_id), "internal error")
    finally:
        close_old_connections()


def write(row: Sync, **fields: Any) -> None:
    """Write fields of a synchronisation that is not over; what a person decided meanwhile stands."""
    Sync.objects.filter(id=row.id, status__in=LIVE).update(**fields)


def fail(row: Sync, problem: str) -> None:
    """End it as failed, with everything taken down."""
    live = Sync.objects.filter(id=row.id, status__in=LIVE)
    ended = {"status": SyncStatus.FAILED, "phase": SyncPhase.ENDED, "finished_at": timezone.now()}
    if not live.update(**ended, error=problem[:2000]):
        return  # it was ended meanwhile: what has its names may be its successor's
    with contextlib.suppress(psycopg.OperationalError), subscription.ends(row.target_service) as found:
        if dropped := subscription.end(found, line_of(row)):
            words = f"{problem} (slots dropped: {', '.join(dropped)})"
            Sync.objects.filter(id=row.id).update(error=words[:2000])


def line_of(row: Sync) -> Line:
    """The names of a synchronisation's publication, slot and subscription."""
    return subscription.line_of(row.target_service, row.source_table, row.id)


class Carrier:
    """One synchronisation from where it stands to where it is asked to stop."""

    def __init__(self, sync_id: UUID, still: Callable[[], bool]) -> None:
        self.row = Sync.objects.get(id=sync_id)
        self.line = line_of(self.row)
        self.is_incremental = self.row.sync_type == SyncType.INCREMENTAL
        self._still = still
        self._lock = threading.Lock()
        self._asked_at = 0.0
        self._status = SyncStatus(self.row.status)

    def carry(self) -> None:
        """Until it has ended, or another process has it."""
        try:
            with subscription.ends(self.row.target_service) as found:
                if not (self.is_incremental and subscription.is_following(found, self.line)):
                    self._copy(found)
                if self.is_incremental:
                    self._follow(found)
        except Stopped:
            return
        except (GivenUp, row_copy.IsPrimary, psycopg.IntegrityError) as error:
            fail(self.row, str(error).split("\n")[0])

    def _copy(self, found: Ends) -> None:
        if self._current(fresh=True) not in LIVE:
            raise Stopped
        row_copy.mend(found.target, self.row.target_service)
        chosen = self._described(found)
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
        subscription.end(found, self.line)  # what an earlier attempt has left
        if self.line.is_whole:
            self._forget_verification(found)
        if self.is_incremental:
            subscription.begin(found, self.line, [table.name for table in chosen])
        row_copy.empty(found.target, self.row.target_service, chosen, by=str(self.row.id))
        with self._moment() as at:
            try:
                self._copy_rows(found, chosen, at)
            except (Stopped, GivenUp, psycopg.IntegrityError):
                # Half a table without keys is of no use to anybody: leave it empty and whole.
                row_copy.empty(found.target, self.row.target_service, chosen, by=str(self.row.id), again=True)
                row_copy.build_keys(found.target)
                raise
            row_copy.tidy(found.target, chosen)
            now = timezone.now()
            if self.is_incremental:
                # Said before it is followed: a process that dies in between copies anew, and one that follows is full.
                if self.line.is_whole and not fences.filled(found.target, self.row.target_service, str(self.row.id)):
                    raise GivenUp("another synchronisation has begun to fill the target")
                subscription.follow(found, self.line, subscription.temporary(self.line))
                write(self.row, phase=SyncPhase.FOLLOWING, copied_at=now, attempt=1)
            else:
                write(self.row, phase=SyncPhase.ENDED, status=SyncStatus.COMPLETED, copied_at=now, finished_at=now)

    def _forget_verification(self, found: Ends) -> None:
        """What was compared is emptied: it has to be compared anew."""
        live = Verification.objects.filter(target_service=self.row.target_service)
        live.filter(status__in=(VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)).update(
            status=VerificationStatus.STOPPED
        )
        replication.drop_slot(found.slots, subscription.verifying_slot(self.row.target_service))

    def _described(self, found: Ends) -> tuple[tables.Table, ...]:
        """The tables to copy. Raises: GivenUp where the target's are others, or where it has been tried too often."""
        row = self.row
        if row.attempt >= MAX_ATTEMPTS:
            raise GivenUp(f"the copy was begun {row.attempt} times and never came to its end")
        chosen = tables.describe_all(found.source, row.target_service, row.source_table)
        theirs = {
            table.name: table for table in tables.describe_all(found.target, row.target_service, row.source_table)
        }
        for table in chosen:
            if table.name not in theirs or theirs[table.name].columns != table.columns:
                raise GivenUp(f"{table.name} is made differently in the target: are its migrations applied?")
        return chosen

    @contextlib.contextmanager
    def _moment(self) -> Iterator[str]:
        """The snapshot to copy; what is to be followed begins with a slot that goes when this process does."""
        if not self.is_incremental:
            with row_copy.snapshot(SHARED) as at:
                yield at
            return
        with (
            connections.replicator(SHARED, for_slots=True) as replicating,
            replication.temporary_slot(replicating, subscription.temporary(self.line)) as at,
        ):
            yield at

    def _copy_rows(self, found: Ends, chosen: tuple[tables.Table, ...], at: str) -> None:
        def tell(progress: Progress) -> None:
            with self._lock:
                write(
                    self.row,
                    records_processed=F("records_processed") + progress.rows,
                    bytes_processed=F("bytes_processed") + progress.bytes,
                )
                self._require_room(replication.slot(found.slots, subscription.temporary(self.line)))
            close_old_connections()

        row_copy.copy(
            SHARED, self.row.target_service, chosen, at=at, jobs=settings.SYNC_JOBS, tell=tell, wanted=self._wanted
        )
        write(self.row, phase=SyncPhase.BUILDING_KEYS)
        row_copy.build_keys(found.target)

    def _wanted(self) -> bool:
        """Between two chunks: whether to go on. Waits while it is paused."""
        with self._lock:
            held_since = time.monotonic()
            while self._current() is SyncStatus.PAUSED:
                if time.monotonic() - held_since > PAUSE_HOLDS_SECONDS:
                    return False
                time.sleep(0.2)
            close_old_connections()
            return self._status is SyncStatus.RUNNING

    def _current(self, *, fresh: bool = False) -> SyncStatus:
        """What people want, looked at no more than five times a second. Raises: Stopped when another process may carry it."""
        if fresh or time.monotonic() - self._asked_at > 0.2:
            self._status = SyncStatus(Sync.objects.values_list("status", flat=True).get(id=self.row.id))
            self._asked_at = time.monotonic()
            if not self._still():
                raise Stopped
        return self._status

    def _follow(self, found: Ends) -> None:
        was_paused: bool | None = None
        write(self.row, phase=SyncPhase.FOLLOWING)  # whoever made the subscription may have died before it said so
        while (status := self._current(fresh=True)) in LIVE:
            is_paused = status is SyncStatus.PAUSED
            if is_paused is not was_paused:
                replication.pause(found.target, self.line.name, paused=is_paused)
                was_paused = is_paused
            fields: dict[str, Any] = {}
            if not is_paused:
                began = timezone.now()
                with contextlib.suppress(replication.TooSlow):
                    self._beat(found)
                    fields["seen_at"] = began
            slot = replication.slot(found.slots, self.line.name)
            if slot is None:
                if self._current(fresh=True) in LIVE:
                    raise GivenUp("its slot is gone")
                return
            self._require_room(slot)
            write(self.row, lag_bytes=slot.lag_bytes, **fields)
            close_old_connections()
            time.sleep(BEAT_SECONDS)

    def _beat(self, found: Ends) -> None:
        replication.beat(
            found.source, found.target, self.line.service, seconds=BEAT_PATIENCE_SECONDS, name=self.line.marker
        )

    def _require_room(self, slot: replication.Slot | None) -> None:
        """Give up before the slot fills the source's disk. Raises: GivenUp."""
        if slot is None:
            return
        if slot.is_lost:
            raise GivenUp("the source has thrown away the log that was still to be followed (max_slot_wal_keep_size)")
        if slot.kept_bytes > settings.SYNC_SLOT_MAX_BYTES:
            raise GivenUp(
                f"its slot made the source keep {slot.kept_bytes} bytes of log, more than {settings.SYNC_SLOT_MAX_BYTES}"
            )

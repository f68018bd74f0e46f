"""Comparing every row of a service on both sides, and then every row that changes, until the verification is stopped.

All rows are compared in ranges of keys; a range that differs is narrowed to its rows. A row that differs may only be in
transit, so it is read again: first in the primary; then, once everything committed in the primary has arrived, on the
other side; then in the primary once more. A row that differs while the primary's has stayed the same is a difference.
Changed rows are read from a slot of their own, created before the first row is compared, and leave the slot only when
they have been compared: a verification whose process is killed continues.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import close_old_connections
from django.db.models import F
from django.utils import timezone

from apps.core.database import primaries
from apps.core.postgres import advisory_locks, connections, replication
from apps.datasync.gateways import changes, comparison, subscription, tables
from apps.datasync.gateways.comparison import Both, Key
from apps.datasync.gateways.subscription import SHARED, Ends
from apps.datasync.gateways.tables import Table
from apps.datasync.interface import VerificationStatus
from apps.datasync.logic.sync_worker import exclusive
from apps.datasync.models import Difference, Verification

LIVE = (VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)
ROUND_SECONDS = 0.25
MAX_REST_SECONDS = 2.0
BATCH_ROWS = 500
LOCKED_BATCH_ROWS = 20
RESTLESS_AFTER = timedelta(seconds=2)
BEAT = "verify"
BEAT_PATIENCE_SECONDS = 2
# Rows are locked meanwhile, and the server ends a session that idles in a transaction (`connections.TIMEOUTS`).
LOCKED_PATIENCE_SECONDS = 0.5
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND usename <> current_user
"""
log = structlog.get_logger(__name__)
_threads: dict[UUID, threading.Thread] = {}
_starting = threading.Lock()


class _Stopped(Exception):
    pass


def ensure_running(verification_id: UUID) -> None:
    """Run a verification in a thread of this process, unless this process or another runs it already."""
    with _starting:
        thread = _threads.get(verification_id)
        if thread is None or not thread.is_alive():
            _threads[verification_id] = thread = threading.Thread(
                target=_run, args=(verification_id,), name=f"verify-{verification_id}", daemon=True
            )
            thread.start()


def drop_slot(ends: Ends, service: str) -> bool:
    """Drop the slot from which changed rows are read. Returns whether there was one."""
    return replication.drop_slot(ends.slots, subscription.verifying_slot(service))


def _run(verification_id: UUID) -> None:
    try:
        with exclusive(f"verify {verification_id}") as is_held:
            if is_held is not None:
                Verifier(Verification.objects.get(id=verification_id), is_held).run()
    except psycopg.OperationalError as error:  # a server is unreachable: the next process that is asked continues
        log.warning("verification_interrupted", verification=str(verification_id), error=str(error))
    except Exception as error:
        log.exception("verification_failed", verification=str(verification_id))
        with contextlib.suppress(Exception):
            fail(verification_id, repr(error))
    finally:
        close_old_connections()


def fail(verification_id: UUID, problem: str) -> None:
    """End a verification as failed, and drop its slot."""
    live = Verification.objects.filter(id=verification_id, status__in=LIVE)
    if not live.update(status=VerificationStatus.FAILED, error=problem[:2000]):
        return  # it was stopped meanwhile: the slot of its name may be its successor's
    service = Verification.objects.values_list("target_service", flat=True).get(id=verification_id)
    with contextlib.suppress(psycopg.OperationalError), subscription.connect(service) as ends:
        drop_slot(ends, service)


class Verifier:
    """Runs one verification from its recorded state until it is stopped."""

    def __init__(self, row: Verification, is_held: Callable[[], bool]) -> None:
        self.row = row
        self.service = row.target_service
        self.slot = subscription.verifying_slot(self.service)
        self.publication = f"lc_{self.service}"
        self._is_held = is_held
        self._tables: dict[str, Table] = {}

    def run(self) -> None:
        """Compare until the verification is stopped or has failed, or the lock is lost."""
        try:
            with subscription.connect(self.service) as ends:
                self._begin(ends)
                for table in self._tables.values():
                    self._compare_all(ends, table)
                if self.row.compared_at is None:
                    self._write(compared_at=timezone.now(), status=VerificationStatus.FOLLOWING)
                worked_at = time.monotonic()
                while True:
                    with advisory_locks.outside_switches(ends.source, self.service) as may_work:
                        # A switch is short; one that takes longer has lost its leader, and is not waited for.
                        if may_work or time.monotonic() - worked_at > MAX_REST_SECONDS:
                            self._compare_changed(ends)
                            worked_at = time.monotonic()
                    time.sleep(ROUND_SECONDS)
        except _Stopped:
            return
        except (comparison.Unlike, changes.UnknownMessage) as error:
            fail(self.row.id, str(error))
        except psycopg.errors.UndefinedObject:
            # A stop drops the slot. If the verification is still live, the changes since are unknown.
            fail(self.row.id, "its slot is gone")

    def _begin(self, ends: Ends) -> None:
        slot = replication.slot(ends.slots, self.slot)
        if slot is None and (self.row.progress or self.row.compared_at):
            # Without the slot the changes since are unknown: begin with the first row again.
            self.row.progress, self.row.compared_at = {}, None
            self._write(progress={}, compared_at=None, status=VerificationStatus.RUNNING, rows_compared=0, seconds=0)
            self.row.differences.all().delete()
        if slot is None:
            replication.keep_slot(ends.slots, "", self.slot)
        source_tables = tables.describe_all(ends.source, self.service)
        target_tables = comparison.by_name(tables.describe_all(ends.target, self.service))
        for table in source_tables:
            if table.name not in target_tables:
                raise comparison.Unlike(f"{table.name} is missing on the other side")
            comparison.require_alike(table, target_tables[table.name])
            self._tables[table.name] = table
        self._write(rows_total=sum(table.rows for table in source_tables))

    def _compare_all(self, ends: Ends, table: Table) -> None:
        progress = self.row.progress.get(table.name)
        if progress is True:
            return
        for within in comparison.ranges(ends.source, table, tuple(progress) if progress else None):
            self._require_wanted()
            started = time.monotonic()
            primary, other = comparison.checksums(self._both(ends), table, within)
            if primary != other:
                self._suspect(table, comparison.differing(self._both(ends), table, within))
            spent_seconds = time.monotonic() - started
            self.row.progress[table.name] = True if within.upto is None else list(within.upto)
            self._write(
                progress=self.row.progress,
                rows_compared=F("rows_compared") + primary[0],
                seconds=F("seconds") + spent_seconds,
            )
            self._compare_changed(ends)
            self._yield_to_writers(ends, spent_seconds)

    def _both(self, ends: Ends) -> Both:
        """Both connections, the primary first: its rows are right, and its changes reach the other side later."""
        is_shared = primaries.database_of(self.service) == SHARED
        return Both(ends.source, ends.target) if is_shared else Both(ends.target, ends.source)

    def _suspect(self, table: Table, keys: Iterable[Key]) -> None:
        rows = [Difference(verification=self.row, table=table.name, key=list(key)) for key in keys]
        Difference.objects.bulk_create(rows, ignore_conflicts=True, batch_size=5_000)

    def _compare_changed(self, ends: Ends) -> None:
        """Compare the changed rows, let the slot forget them, and compare the suspected rows again."""
        is_all = False
        while not is_all:
            self._require_wanted()
            changed = changes.peek(ends.slots, self.slot, self.publication)
            for name in changed.tables & self._tables.keys():
                self._suspect_table(ends, self._tables[name])
            for name, keys in changed.rows.items():
                if name in self._tables:
                    for batch in _batches(keys):
                        self._recheck(ends, self._tables[name], batch)
            if changed.upto is not None:
                changes.advance(ends.slots, self.slot, changed.upto)
            is_all = changed.is_all
        waiting = self._recheck_suspects(ends)
        slot = replication.slot(ends.slots, self.slot)
        if slot is not None and slot.kept_bytes > settings.SYNC_SLOT_MAX_BYTES:
            fail(self.row.id, f"its slot made the source keep {slot.kept_bytes} bytes of log")
            raise _Stopped
        self._write(checked_at=timezone.now(), backlog=waiting)
        close_old_connections()

    def _suspect_table(self, ends: Ends, table: Table) -> None:
        """Suspect every row of a truncated table that differs."""
        self._suspect(table, comparison.differing(self._both(ends), table, comparison.Range(None, None)))

    def _recheck_suspects(self, ends: Ends) -> int:
        """Compare all suspected rows again; returns how many stay uncertain."""
        by_table: dict[str, list[Key]] = {}
        since: dict[tuple[str, Key], datetime] = {}
        rows = Difference.objects.filter(verification=self.row, is_certain=False).values_list(
            "table", "key", "found_at"
        )
        for name, key, found_at in rows:
            by_table.setdefault(name, []).append(tuple(key))
            since[name, tuple(key)] = found_at
        long_ago = timezone.now() - RESTLESS_AFTER
        for name, keys in by_table.items():
            restless = [key for key in keys if since[name, key] < long_ago]
            for batch in _batches([key for key in keys if since[name, key] >= long_ago]):
                self._recheck(ends, self._tables[name], batch)
            for batch in _batches(restless, LOCKED_BATCH_ROWS):
                self._recheck_locked(ends, self._tables[name], batch)
        return Difference.objects.filter(verification=self.row, is_certain=False).count() if by_table else 0

    def _recheck_locked(self, ends: Ends, table: Table, keys: list[Key]) -> None:
        """Compare rows that change all the time, locked for milliseconds; rows locked by others wait a round."""
        both = self._both(ends)
        alias = SHARED if both.primary is ends.source else self.service
        with (
            connections.control(alias) as writer,
            contextlib.suppress(psycopg.errors.LockNotAvailable),
            both.primary.transaction(),
        ):
            both.primary.execute("SET LOCAL lock_timeout = 50")
            comparison.lock(both.primary, table, keys)
            self._recheck(ends, table, keys, writer=writer)

    def _recheck(
        self, ends: Ends, table: Table, keys: list[Key], *, writer: connections.Connection | None = None
    ) -> None:
        """Compare some rows: equal rows are no longer suspected, rows that stay different become certain.

        `writer` writes the marker where the rows are locked by the primary's own connection.
        """
        both = self._both(ends)
        patience = LOCKED_PATIENCE_SECONDS if writer else BEAT_PATIENCE_SECONDS
        before = comparison.hashes(both.primary, table, keys)
        try:
            replication.beat(writer or both.primary, both.other, self.service, seconds=patience, name=BEAT)
        except replication.TooSlow:
            self._suspect(table, keys)  # nothing can be said yet
            return
        other = comparison.hashes(both.other, table, keys)
        unlike = [key for key in keys if before.get(key) != other.get(key)]
        after = comparison.hashes(both.primary, table, unlike)
        # A missing row is certain however often the primary's row changes.
        certain = [
            key
            for key in unlike
            if after.get(key) == before.get(key) or (key in before and key in after and key not in other)
        ]
        moving = [key for key in unlike if key not in certain]
        recorded = Difference.objects.filter(verification=self.row, table=table.name)
        settled = set(keys) - set(unlike)
        if settled and recorded.exists():
            recorded.filter(key__in=[list(key) for key in settled]).delete()
        self._suspect(table, moving)  # a certain row stays so until it is found equal
        for key in certain:
            difference = comparison.explain(both, table, key)
            if difference is None:
                continue  # it has arrived after all: its next change will be compared
            recorded.update_or_create(
                key=list(key),
                defaults={
                    "verification": self.row,
                    "table": table.name,
                    "kind": difference.kind,
                    "fields": list(difference.fields),
                    "is_certain": True,
                },
            )

    def _require_wanted(self) -> None:
        status = Verification.objects.values_list("status", flat=True).get(id=self.row.id)
        if status not in LIVE or not self._is_held():
            raise _Stopped

    def _write(self, **fields: Any) -> None:
        Verification.objects.filter(id=self.row.id, status__in=LIVE).update(**fields)

    def _yield_to_writers(self, ends: Ends, spent_seconds: float) -> None:
        """Pause as long as the last range took, at most 2 seconds, while other sessions keep the source busy."""
        row = ends.source.execute(BUSY).fetchone()
        if row and row[0] > settings.SYNC_BUSY_SESSIONS:
            time.sleep(min(spent_seconds, 2.0))


def _batches(keys: Iterable[Key], size: int = BATCH_ROWS) -> Iterator[list[Key]]:
    in_order = list(keys)
    for start in range(0, len(in_order), size):
        yield in_order[start : start + size]

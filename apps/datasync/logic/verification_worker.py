"""Comparing every row of a service on both sides, and then every row that changes, for as long as it is wanted.

All rows are compared in ranges of keys; a range that differs is narrowed to its rows. A row that differs may only be on its way: it is
looked at again, first in the primary, then, when everything that was committed in the primary has arrived, on the other side, then in the primary once
more. One that differs there while the primary's has stayed the same is a difference. Changed rows are read from a slot of their own, made
before the first row is compared, and forgotten only when they have been compared: a comparison that is killed goes on.
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
from apps.datasync.logic.sync_worker import held
from apps.datasync.models import Difference, Verification

LIVE = (VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)
ROUND_SECONDS = 0.25
RESTS_SECONDS = 2.0
AT_ONCE = 500
HELD_AT_ONCE = 20
RESTLESS = timedelta(seconds=2)
BEAT = "verify"
BEAT_PATIENCE_SECONDS = 2
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND usename <> current_user
"""
log = structlog.get_logger(__name__)
_carried: dict[UUID, threading.Thread] = {}
_starting = threading.Lock()


class _Stopped(Exception):
    pass


def see_to(verification_id: UUID) -> None:
    """Carry it from here on, unless this process or another does already."""
    with _starting:
        thread = _carried.get(verification_id)
        if thread is None or not thread.is_alive():
            _carried[verification_id] = thread = threading.Thread(
                target=_run, args=(verification_id,), name=f"verify-{verification_id}", daemon=True
            )
            thread.start()


def take_down(found: Ends, service: str) -> bool:
    """Drop the slot by which changed rows are compared. Whether there was one."""
    return replication.drop_slot(found.slots, subscription.verifying_slot(service))


def _run(verification_id: UUID) -> None:
    try:
        with held(f"verify {verification_id}") as still:
            if still is not None:
                Verifier(Verification.objects.get(id=verification_id), still).carry()
    except psycopg.OperationalError as error:  # a server is away: whoever is asked next goes on
        log.warning("verification_interrupted", verification=str(verification_id), error=str(error))
    except Exception as error:
        log.exception("verification_failed", verification=str(verification_id))
        with contextlib.suppress(Exception):
            fail(verification_id, repr(error))
    finally:
        close_old_connections()


def fail(verification_id: UUID, problem: str) -> None:
    """End it as failed, with its slot dropped."""
    live = Verification.objects.filter(id=verification_id, status__in=LIVE)
    if not live.update(status=VerificationStatus.FAILED, error=problem[:2000]):
        return  # it was stopped meanwhile: the slot of its name may be another one's
    service = Verification.objects.values_list("target_service", flat=True).get(id=verification_id)
    with contextlib.suppress(psycopg.OperationalError), subscription.ends(service) as found:
        take_down(found, service)


class Verifier:
    """One verification from where it stands to where it is stopped."""

    def __init__(self, row: Verification, still: Callable[[], bool]) -> None:
        self.row = row
        self.service = row.target_service
        self.slot = subscription.verifying_slot(self.service)
        self.publication = f"lc_{self.service}"
        self._still = still
        self._tables: dict[str, Table] = {}

    def carry(self) -> None:
        """Until it is stopped, has failed, or another process has it."""
        try:
            with subscription.ends(self.service) as found:
                self._begin(found)
                for table in self._tables.values():
                    self._compare_all(found, table)
                if self.row.compared_at is None:
                    self._write(compared_at=timezone.now(), status=VerificationStatus.FOLLOWING)
                worked_at = time.monotonic()
                while True:
                    with advisory_locks.outside_switches(found.source, self.service) as may_work:
                        # A switch takes a moment; one that takes longer is led by somebody who was stopped, and is not waited for.
                        if may_work or time.monotonic() - worked_at > RESTS_SECONDS:
                            self._compare_changed(found)
                            worked_at = time.monotonic()
                    time.sleep(ROUND_SECONDS)
        except _Stopped:
            return
        except (comparison.Unlike, changes.UnknownMessage) as error:
            fail(self.row.id, str(error))
        except psycopg.errors.UndefinedObject:
            # Its slot was dropped by whoever stopped it; of one that is wanted still, nobody knows what has changed since.
            fail(self.row.id, "its slot is gone")

    def _begin(self, found: Ends) -> None:
        slot = replication.slot(found.slots, self.slot)
        if slot is None and (self.row.progress or self.row.compared_at):
            # Without the slot nobody knows what has changed since: begin with the first row again.
            self.row.progress, self.row.compared_at = {}, None
            self._write(progress={}, compared_at=None, status=VerificationStatus.RUNNING, rows_compared=0, seconds=0)
            self.row.differences.all().delete()
        if slot is None:
            replication.keep_slot(found.slots, "", self.slot)
        ours = tables.describe_all(found.source, self.service)
        theirs = comparison.by_name(tables.describe_all(found.target, self.service))
        for table in ours:
            if table.name not in theirs:
                raise comparison.Unlike(f"{table.name} is missing on the other side")
            comparison.require_alike(table, theirs[table.name])
            self._tables[table.name] = table
        self._write(rows_total=sum(table.rows for table in ours))

    def _compare_all(self, found: Ends, table: Table) -> None:
        done = self.row.progress.get(table.name)
        if done is True:
            return
        for within in comparison.ranges(found.source, table, tuple(done) if done else None):
            self._require_wanted()
            started = time.monotonic()
            primary, other = comparison.checksums(self._both(found), table, within)
            if primary != other:
                self._suspect(table, comparison.differing(self._both(found), table, within))
            spent = time.monotonic() - started
            self.row.progress[table.name] = True if within.upto is None else list(within.upto)
            self._write(
                progress=self.row.progress, rows_compared=F("rows_compared") + primary[0], seconds=F("seconds") + spent
            )
            self._compare_changed(found)
            self._give_way(found, spent)

    def _both(self, found: Ends) -> Both:
        """Primary first: what it has is right, and what comes from there arrives later on the other side."""
        is_shared = primaries.database_of(self.service) == SHARED
        return Both(found.source, found.target) if is_shared else Both(found.target, found.source)

    def _suspect(self, table: Table, keys: Iterable[Key]) -> None:
        rows = [Difference(verification=self.row, table=table.name, key=list(key)) for key in keys]
        Difference.objects.bulk_create(rows, ignore_conflicts=True, batch_size=5_000)

    def _compare_changed(self, found: Ends) -> None:
        """One round over what has changed and what is suspected; then the slot may forget it."""
        is_all = False
        while not is_all:
            self._require_wanted()
            changed = changes.peek(found.slots, self.slot, self.publication)
            for name in changed.tables & self._tables.keys():
                self._compare_range_again(found, self._tables[name])
            for name, keys in changed.rows.items():
                if name in self._tables:
                    for some in _batches(keys):
                        self._look(found, self._tables[name], some)
            if changed.upto is not None:
                changes.advance(found.slots, self.slot, changed.upto)
            is_all = changed.is_all
        waiting = self._look_at_suspects(found)
        slot = replication.slot(found.slots, self.slot)
        if slot is not None and slot.kept_bytes > settings.SYNC_SLOT_MAX_BYTES:
            fail(self.row.id, f"its slot made the source keep {slot.kept_bytes} bytes of log")
            raise _Stopped
        self._write(checked_at=timezone.now(), backlog=waiting)
        close_old_connections()

    def _compare_range_again(self, found: Ends, table: Table) -> None:
        """A table was emptied: all of it may differ."""
        self._suspect(table, comparison.differing(self._both(found), table, comparison.Range(None, None)))

    def _look_at_suspects(self, found: Ends) -> int:
        """Look at everything that is not certain yet; how many stay so."""
        by_table: dict[str, list[Key]] = {}
        since: dict[tuple[str, Key], datetime] = {}
        rows = Difference.objects.filter(verification=self.row, is_certain=False).values_list(
            "table", "key", "found_at"
        )
        for name, key, found_at in rows:
            by_table.setdefault(name, []).append(tuple(key))
            since[name, tuple(key)] = found_at
        long_ago = timezone.now() - RESTLESS
        for name, keys in by_table.items():
            restless = [key for key in keys if since[name, key] < long_ago]
            for some in _batches([key for key in keys if since[name, key] >= long_ago]):
                self._look(found, self._tables[name], some)
            for some in _batches(restless, HELD_AT_ONCE):
                self._look_while_held(found, self._tables[name], some)
        return Difference.objects.filter(verification=self.row, is_certain=False).count() if by_table else 0

    def _look_while_held(self, found: Ends, table: Table, keys: list[Key]) -> None:
        """Rows that change all the time are held still for the milliseconds of a look; where somebody has them, the next round does."""
        both = self._both(found)
        alias = SHARED if both.primary is found.source else self.service
        with (
            connections.control(alias) as writer,
            contextlib.suppress(psycopg.errors.LockNotAvailable),
            both.primary.transaction(),
        ):
            both.primary.execute("SET LOCAL lock_timeout = 50")
            comparison.hold(both.primary, table, keys)
            self._look(found, table, keys, writer=writer)

    def _look(
        self, found: Ends, table: Table, keys: list[Key], *, writer: connections.Connection | None = None
    ) -> None:
        """Compare some rows: those that are the same are no longer suspected, those that stay different are certain."""
        both = self._both(found)
        before = comparison.hashes(both.primary, table, keys)
        try:
            replication.beat(writer or both.primary, both.other, self.service, seconds=BEAT_PATIENCE_SECONDS, name=BEAT)
        except replication.TooSlow:
            self._suspect(table, keys)  # nothing can be said yet
            return
        there = comparison.hashes(both.other, table, keys)
        unlike = [key for key in keys if before.get(key) != there.get(key)]
        after = comparison.hashes(both.primary, table, unlike)
        # Whether a row is there at all does not depend on how often it changes.
        certain = [
            key
            for key in unlike
            if after.get(key) == before.get(key) or (key in before and key in after and key not in there)
        ]
        moving = [key for key in unlike if key not in certain]
        named = Difference.objects.filter(verification=self.row, table=table.name)
        settled = set(keys) - set(unlike)
        if settled and named.exists():
            named.filter(key__in=[list(key) for key in settled]).delete()
        self._suspect(table, moving)  # one that is certain already stays so until it is seen to be the same
        for key in certain:
            explained = comparison.explain(both, table, key)
            if explained is None:
                continue  # it has arrived after all: the next change of it will be looked at
            named.update_or_create(
                key=list(key),
                defaults={
                    "verification": self.row,
                    "table": table.name,
                    "kind": explained.kind,
                    "fields": list(explained.fields),
                    "is_certain": True,
                },
            )

    def _require_wanted(self) -> None:
        status = Verification.objects.values_list("status", flat=True).get(id=self.row.id)
        if status not in LIVE or not self._still():
            raise _Stopped

    def _write(self, **fields: Any) -> None:
        Verification.objects.filter(id=self.row.id, status__in=LIVE).update(**fields)

    def _give_way(self, found: Ends, spent: float) -> None:
        """Rest as long as the last range took while people keep the source busy."""
        row = found.source.execute(BUSY).fetchone()
        if row and row[0] > settings.SYNC_BUSY_SESSIONS:
            time.sleep(min(spent, 2.0))


def _batches(keys: Iterable[Key], size: int = AT_ONCE) -> Iterator[list[Key]]:
    listed = list(keys)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]

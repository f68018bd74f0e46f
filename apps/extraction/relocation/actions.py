"""The verbs of a move: each takes the lead, checks, does its steps, and signs off its record. The command line and the admin call these.

prepare -> sync -> verify -> cutover <-> rollback -> commit -> decommission;  resume and abort from anywhere
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import psycopg
from django.db import DatabaseError

from apps.core.flags.routes import system_context
from apps.core.interface.context import CallContext
from apps.core.interface.errors import DomainError
from apps.core.postgres import advisory_locks, connections, fences, pg_dump, replication
from apps.core.postgres.leadership import AnotherLeads, leading
from apps.core.postgres.migrate_service import NotPrepared, prepare
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncPhase, SyncStatus, SyncType, Verification, VerificationStatus
from apps.extraction.decommission import old_tables, requirements
from apps.extraction.decommission.items import synchronisation
from apps.extraction.decommission.overrides import NotOverridden
from apps.extraction.relocation import cutover as cutover_procedure
from apps.extraction.relocation import preconditions
from apps.extraction.relocation.access import Overtaken
from apps.extraction.relocation.cutover import NotSwitched
from apps.extraction.relocation.preconditions import Check, Refused
from apps.extraction.state import stages
from apps.extraction.state.journal import Journal, Tell
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import SHARED, Pair

LOOK_SECONDS = 0.1
# A tenth of a table's rows, or as many as autovacuum would wait for.
AGED = "(n_mod_since_analyze > 500 + n_live_tup / 10 OR n_dead_tup > 500 + n_live_tup / 10)"
COPY_SECONDS = 24 * 3600
PROBLEMS = (
    *(Refused, NotSwitched, Overtaken, AnotherLeads, NotPrepared, DomainError, replication.TooSlow),
    *(
        stages.TwoHomes,
        connections.NoWay,
        psycopg.Error,
        DatabaseError,
        old_tables.NotDecommissioned,
        NotOverridden,
        pg_dump.BackupFailed,
    ),
)


Show = Callable[[str, float | None], None]


class By(NamedTuple):
    """Who acts, from where, why, and who is told. `stop_before` and `take_over` are for drills and for emergencies.

    `show` is given how far something is, in words and as a part of 1, again and again; without it these are told as well.
    """

    who: str
    where: str
    reason: str = ""
    tell: Tell = lambda _: None
    stop_before: str = ""
    take_over: bool = False
    asked: UUID | None = None  # the record of somebody who asked for it
    show: Show | None = None

    def far(self, words: str, done: int, total: int) -> None:
        """Tell how far it is."""
        if self.show is None:
            self.tell(words)
        else:
            self.show(words, min(done / total, 1.0) if total else None)


def prepare_home(service: str, by: By) -> Move:
    """Make the service's tables in its own database."""
    with action(service, "prepare", by) as journal:
        with connections.control(service) as own:
            has_fence = own.execute("SELECT to_regclass('extraction.fence')").fetchone()
            moving = bool(has_fence and has_fence[0]) and stages.side(own, service, service).is_moving
        _check(journal, [Check("moving", not moving, "its tables keep their shape" if moving else "nothing moves")])
        with journal.step("migrate", service):
            prepare(service)
    return journal.move


def sync(service: str, by: By) -> Move:
    """Copy every row to the service's own database, and follow every change from then on. Returns when it follows."""
    with action(service, "sync", by) as journal:
        with stages.pair(service) as found:
            observed = stages.observe_with(found)
            _check(journal, preconditions.before_sync(found, observed))
            if observed.sync is None:
                cutover_procedure.drop_way_back(
                    found
                )  # of an earlier move; what fills a copy must not travel to the home
        with journal.step("start"):
            known = observed.sync or call(DATASYNC).start(
                ctx=_ctx(service), target_service=service, sync_type=SyncType.INCREMENTAL
            )
        with journal.step("copy"):
            known = _followed(service, known.sync_id, by)
        journal.note(facts={"rows": known.records_processed, "rows_per_second": known.rows_per_second})
    return journal.move


def verify(service: str, by: By, *, anew: bool = False) -> Move:
    """Compare every row on both sides. Returns when all were compared; those that change are compared from then on."""
    with action(service, "verify", by) as journal, journal.step("compare"):
        found = call(DATASYNC).verify(ctx=_ctx(service), target_service=service, anew=anew)
        deadline, told = time.monotonic() + COPY_SECONDS, time.monotonic()
        while (found.compared_at is None or found.checked_at is None) and time.monotonic() < deadline:
            if found.status not in {VerificationStatus.RUNNING, VerificationStatus.FOLLOWING}:
                raise Refused([Check("verified", False, f"{found.status} {found.error}")])
            time.sleep(LOOK_SECONDS)
            _advance(service)
            found = call(DATASYNC).verification(ctx=_ctx(service), target_service=service)
            if time.monotonic() - told > 1:
                told = time.monotonic()
                _tell_compared(found, by)
        journal.note(
            facts={
                "rows": found.rows_compared,
                "rows_per_second": found.rows_per_second,
                "differences": found.differences,
            }
        )
    if found.differences:
        by.tell(f"{found.differences} rows differ: see /api/v1/sync/verify/{service}/differences or the admin")
    return journal.move


def cutover(service: str, by: By) -> Move:
    """Make the service's own database the home."""
    with action(service, "cutover", by, leads=True) as journal, stages.pair(service) as found:
        epoch = cutover_procedure.take_epoch(found)
        observed = stages.observe_with(found)
        _check(journal, preconditions.before_cutover(found, observed))
        with journal.step("way back"):
            cutover_procedure.keep_way_back(found)
            replication.beat(found.own, found.shared, service, seconds=30)
        _switch(found, SHARED, journal, epoch)
    return journal.move


def rollback(service: str, by: By) -> Move:
    """Make the shared database the home again, with every write made since."""
    with action(service, "rollback", by, leads=True) as journal, stages.pair(service) as found:
        epoch = cutover_procedure.take_epoch(found)
        _check(journal, preconditions.before_rollback(found, stages.observe_with(found)))
        _switch(found, service, journal, epoch)
    return journal.move


def commit(service: str, by: By) -> Move:
    """Give up the way back: nothing is followed in either direction any more. The old tables stay, closed, until decommission."""
    with action(service, "commit", by, leads=True) as journal, stages.pair(service) as found:
        cutover_procedure.take_epoch(found)
        observed = stages.observe_with(found)
        _check(journal, preconditions.before_commit(found, observed))
        with journal.step("stop following"):
            if observed.sync is not None:
                call(DATASYNC).cancel(ctx=_ctx(service), sync_id=observed.sync.sync_id)
            replication.unsubscribe(found.own, stages.forward_name(service))
            cutover_procedure.drop_way_back(found)
        with journal.step("grants"):
            old_tables.grant_future_tables(found.own)
            for connection in (found.shared, found.own):
                fences.set_moving(connection, service, moving=False)
            # What nobody writes any more: the checklist looks whether that stays so.
            journal.note(facts={synchronisation.BASELINE: synchronisation.baseline(found.shared, service)})
            # It stays closed, and nobody has to look after that any more.
            found.shared.execute("UPDATE extraction.fence SET closed_at = NULL WHERE service = %s", [service])
    return journal.move


def decommission(service: str, by: By) -> Move:
    """Take the old tables away, when the whole checklist holds and a backup of them was restored and found the same."""
    with action(service, "decommission", by, leads=True) as journal, stages.pair(service) as found:
        cutover_procedure.take_epoch(found)
        observed = stages.observe_with(found)
        listed = requirements.checks(service, by.who)
        _check(journal, [*old_tables.before(found, observed), *listed])
        passed_over = requirements.pass_over(service, listed, journal.move.id)
        facts = old_tables.take_away(found, journal)
        journal.note(facts=facts | {"passed_over": passed_over})
    return journal.move


def resume(service: str, by: By) -> Move:
    """Go on from wherever a leader that died has stopped."""
    with action(service, "resume", by, leads=True) as journal, stages.pair(service) as found:
        epoch = cutover_procedure.take_epoch(found)
        if cutover_procedure.left_by(found) is not None:
            home = cutover_procedure.go_on(found, journal, epoch)
            journal.note(facts={"home": home})
            return journal.move
    observed = stages.observe(service)
    if observed.sync is not None and observed.sync.status is SyncStatus.PAUSED:
        call(DATASYNC).resume(ctx=_ctx(service), sync_id=observed.sync.sync_id)
    _advance(service)
    by.tell(f"{service}: {observed.stage}; no cutover was left half-way")
    return journal.move


def abort(service: str, by: By) -> Move:
    """Back to where the data were before: out of a cutover that was left, or out of a synchronisation."""
    with action(service, "abort", by, leads=True) as journal, stages.pair(service) as found:
        epoch = cutover_procedure.take_epoch(found)
        if (origin := cutover_procedure.left_by(found)) is not None:
            with journal.step("open", origin):
                cutover_procedure.go_back(found, origin, epoch)
            return journal.move
        observed = stages.observe_with(found)
        if observed.home != SHARED:
            seen = f"the stage is {observed.stage}: rollback is the way back"
            _check(journal, [Check("home", False, seen)])
        with journal.step("stop following"):
            if observed.sync is not None:
                call(DATASYNC).cancel(ctx=_ctx(service), sync_id=observed.sync.sync_id)
            cutover_procedure.drop_way_back(found)
            for connection in (found.shared, found.own):
                fences.set_moving(connection, service, moving=False)
    return journal.move


@contextmanager
def action(service: str, verb: str, by: By, *, leads: bool = False) -> Iterator[Journal]:
    """One action: alone where it leads, and signed off however it ends."""
    journal = Journal(
        service,
        verb,
        asked=by.asked,
        who=by.who,
        where=by.where,
        reason=by.reason,
        tell=by.tell,
        stop_before=by.stop_before,
    )
    try:
        if leads:
            with leading(service, f"{verb} by {by.who}", take_over=by.take_over):
                yield journal
        else:
            yield journal
    except Refused as refusal:
        journal.end(Outcome.REFUSED, str(refusal))
        raise
    except BaseException as error:
        journal.end(Outcome.FAILED, f"{type(error).__name__}: {error}")
        raise
    journal.end(Outcome.DONE)


def _switch(found: Pair, origin: str, journal: Journal, epoch: int) -> None:
    """The switch between its preparation and the proof that people can write again."""
    with journal.step("vacuum"):
        other = threading.Thread(target=_tidy, args=(found.own, found.service), name="tidy")
        other.start()
        try:
            _tidy(found.shared, found.service)
        finally:
            other.join()
    with advisory_locks.during_switch(found.shared, found.service):
        done = cutover_procedure.switch(found, origin, journal, epoch)
    journal.note(epoch=done.epoch, attempts=done.attempts, pause_ms=done.pause_ms)
    journal.tell(f"nobody could write for {done.pause_ms:.1f} ms, in {done.attempts} attempts")


def _tidy(connection: connections.Connection, service: str) -> None:
    """Statistics where they have aged, and a checkpoint: the first writes after the switch shall not have to wait for either."""
    aged = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname = ANY(%s) AND " + AGED
    for (table,) in connection.execute(aged, [list(replication.tables_of(connection, service))]).fetchall():
        connection.execute(f'VACUUM (ANALYZE, SKIP_LOCKED) public."{table}"')
    connection.execute("CHECKPOINT")


def _check(journal: Journal, made: list[Check]) -> None:
    journal.note(checks=[check._asdict() for check in made])
    for line in preconditions.lines(made):
        journal.tell(line)
    preconditions.require(made)


def _followed(service: str, sync_id: UUID, by: By) -> Sync:
    """See to it that it is carried, and tell how far it is, until it follows. Raises: Refused."""
    told = 0.0
    while True:
        found = call(DATASYNC).advance(ctx=_ctx(service), sync_id=sync_id)
        if found.status is not SyncStatus.RUNNING:
            raise Refused([Check("synchronised", False, f"{found.status} {found.error}".strip())])
        if found.phase is SyncPhase.FOLLOWING and found.lag_seconds is not None:
            return found
        if time.monotonic() - told > 1:
            told = time.monotonic()
            left = "" if found.seconds_left is None else f", about {found.seconds_left} s left"
            by.far(
                f"{found.phase}: {found.records_processed} of about {found.records_total} rows,"
                f" {found.rows_per_second} rows/s{left}",
                found.records_processed,
                found.records_total,
            )
        time.sleep(LOOK_SECONDS)


def _tell_compared(found: Verification, by: By) -> None:
    by.far(
        f"compared: {found.rows_compared} of about {found.rows_total} rows, {found.rows_per_second} rows/s,"
        f" {found.differences} differ",
        found.rows_compared,
        found.rows_total,
    )


def _advance(service: str) -> None:
    """See to it that the synchronisation and its verification are carried by somebody."""
    if (known := stages.live_sync(service)) is not None:
        call(DATASYNC).advance(ctx=_ctx(service), sync_id=known.sync_id)


def _ctx(service: str) -> CallContext:
    return system_context(f"extraction.{service}", timeout_ms=30_000)

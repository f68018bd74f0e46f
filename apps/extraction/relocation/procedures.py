"""The second part of a relocation: cutover, rollback and commit, and resume and abort of one that was left half-way."""

from __future__ import annotations

import threading

from django.utils.translation import gettext_lazy as _
from psycopg import sql

from apps.core.postgres import database_roles, fences, replication
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import OWNER
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus
from apps.extraction.relocation import baseline, cutover
from apps.extraction.relocation.synchronisation import advance, system_ctx
from apps.extraction.state import stages
from apps.extraction.state.action import Run, Step
from apps.extraction.state.checks import Check
from apps.extraction.state.stages import SHARED

# A tenth of a table's rows, or as many as autovacuum would wait for.
AGED = "(n_mod_since_analyze > 500 + n_live_tup / 10 OR n_dead_tup > 500 + n_live_tup / 10)"

WAY_BACK = Step("way back", _("way back: the shared database follows the service's own from now on"))
VACUUM = Step("vacuum", _("vacuum: VACUUM ANALYZE of every table and a CHECKPOINT on both servers"))
STOP_FOLLOWING = Step("stop following", _("stop following: end both directions and drop their slots"))
GRANTS = Step("grants", _("grants: future tables are the service's as well"))
REOPEN = Step("open", _("open: the database that was closed, after every other leader is refused by the other one"))
CONTINUE = Step("continue", _("continue: a copy that was paused, and the comparison that follows it"))


def cut_over(run: Run) -> None:
    """The service's own database becomes the primary."""
    run.do(WAY_BACK, lambda: _keep_way_back(run))
    _switch(run, SHARED)


def _keep_way_back(run: Run) -> None:
    cutover.keep_way_back(run.pair)
    replication.beat(run.pair.own, run.pair.shared, run.service, seconds=30)


def roll_back(run: Run) -> None:
    """The shared database becomes the primary again, with every write made since."""
    _switch(run, run.service)


def commit(run: Run) -> None:
    """Give up the way back. The old tables stay, closed, until they are decommissioned."""
    run.do(STOP_FOLLOWING, lambda: _stop_following(run, forward=True))
    run.do(GRANTS, lambda: _settle(run))


def _settle(run: Run) -> None:
    """Note what the old tables hold, for the checklist to compare. The old database stays closed."""
    pair, service = run.pair, run.service
    _grant_future_tables(pair.own, service)
    for connection in (pair.shared, pair.own):
        fences.set_moving(connection, service, moving=False)
    run.note(facts={baseline.FACT: baseline.of(pair.shared, service)})
    # Closed for good: no longer an open cutover that the worker has to finish.
    pair.shared.execute("UPDATE extraction.fence SET closed_at = NULL WHERE service = %s", [service])


def resume(run: Run) -> None:
    """Go on from the point at which a leader died."""
    if cutover.left_by(run.pair) is not None:
        run.note(facts={"home": cutover.go_on(run)})
        return
    run.do(CONTINUE, lambda: _continue(run))


def _continue(run: Run) -> None:
    sync = run.observed.sync
    if sync is not None and sync.status is SyncStatus.PAUSED:
        call(DATASYNC).resume(ctx=system_ctx(run.service), sync_id=sync.sync_id)
    advance(run.service)
    run.write_line(f"{run.service}: {run.observed.stage}; no cutover was left half-way")


def abort_checks(run: Run) -> list[Check]:
    """Refuse unless a cutover or a synchronisation can be taken back."""
    if cutover.left_by(run.pair) is not None or run.observed.primary == SHARED:
        return []
    return [Check("primary", False, f"the stage is {run.observed.stage}: rollback is the way back")]


def abort(run: Run) -> None:
    """Take back a cutover that was left half-way, or a synchronisation: the data are where they were before."""
    if (origin := cutover.left_by(run.pair)) is not None:
        run.do(REOPEN, lambda: cutover.go_back(run.pair, origin, run.epoch), origin)
        return
    run.do(STOP_FOLLOWING, lambda: _stop_following(run, forward=False))


def _stop_following(run: Run, *, forward: bool) -> None:
    """End the synchronisation and the way back.

    `forward`: drop the forward subscription as well, which ending the synchronisation leaves in place.
    """
    pair, service, sync = run.pair, run.service, run.observed.sync
    if sync is not None:
        call(DATASYNC).cancel(ctx=system_ctx(service), sync_id=sync.sync_id)
    if forward:
        replication.unsubscribe(pair.own, stages.forward_name(service))
    cutover.drop_way_back(pair)
    if not forward:
        for connection in (pair.shared, pair.own):
            fences.set_moving(connection, service, moving=False)


def _switch(run: Run, origin: str) -> None:
    """Tidy both databases, then switch while no process reads the service's changes."""
    run.do(VACUUM, lambda: _tidy_both(run))
    with run.switch_lock():
        cutover.switch(run, origin)


def _tidy_both(run: Run) -> None:
    other = threading.Thread(target=_tidy, args=(run.pair.own, run.service), name="tidy")
    other.start()
    try:
        _tidy(run.pair.shared, run.service)
    finally:
        other.join()


def _tidy(connection: Connection, service: str) -> None:
    """Refresh aged statistics and take a checkpoint, so that the first writes after the switch wait for neither."""
    aged = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' AND relname = ANY(%s) AND " + AGED
    for (table,) in connection.execute(aged, [list(replication.tables_of(connection, service))]).fetchall():
        connection.execute(f'VACUUM (ANALYZE, SKIP_LOCKED) public."{table}"')
    connection.execute("CHECKPOINT")


def _grant_future_tables(own: Connection, service: str) -> None:
    """Grant the platform's role and the service's the tables that later migrations create in the service's own database."""
    for role in database_roles.of(service):
        if own.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            for rights, kind in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE, SELECT", "SEQUENCES")):
                own.execute(
                    sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT {} ON {} TO {}").format(
                        sql.Identifier(OWNER), sql.SQL(rights), sql.SQL(kind), sql.Identifier(role)
                    )
                )

"""data_sync_completed and events_drained: everything has arrived, nothing was written in the old primary since, nothing follows any more."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from apps.core.flags.routes import system_context
from apps.core.postgres import replication
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncStatus, SyncType
from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.relocation import baseline
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Pair

SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE slot_name ~ %s AND NOT temporary"
SUBSCRIPTIONS = (
    "SELECT subname FROM pg_subscription WHERE subname ~ %s"
    " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
WAITING = "SELECT id::text, aggregate_id::text, consumer, sequence FROM {} WHERE delivered_at IS NULL"
# Delivered there, or forgotten there after its delivery: the queue of its aggregate has gone on beyond it.
ARRIVED = """
SELECT EXISTS (SELECT 1 FROM {table} WHERE id = %(id)s::uuid AND delivered_at IS NOT NULL)
    OR (NOT EXISTS (SELECT 1 FROM {table} WHERE id = %(id)s::uuid) AND EXISTS (
        SELECT 1 FROM {table} WHERE aggregate_id = %(aggregate)s::uuid AND consumer = %(consumer)s
          AND sequence > %(sequence)s AND delivered_at IS NOT NULL))
"""


def data_sync_completed(service: str) -> Finding:
    """The copy followed until the cutover, was found the same, and was left in order."""
    with stages.pair(service) as found:
        problems, seen = _copied(service)
        left = _left(found)
        if left:
            problems.append(f"left behind: {', '.join(left)}")
        unlike, words = _unchanged(found)
        seen |= {"left": left, "old_home": words}
        problems += unlike
    if problems:
        return fails("; ".join(problems), **seen)
    return holds(f"{seen['rows_compared']} rows were the same before the cutover; {words}", **seen)


def events_drained(service: str) -> Finding:
    """No event that the old primary has undelivered is unknown to the new one, or waits there still."""
    with stages.pair(service) as found:
        if not replication.tables_of(found.shared, service):
            return holds("the old primary has no outbox any more")
        table = sql.Identifier("public", f"{service}_outbox")
        rows = found.shared.execute(sql.SQL(WAITING).format(table)).fetchall()
        waiting = []
        for event, aggregate, consumer, sequence in rows:
            given = {"id": event, "aggregate": aggregate, "consumer": consumer, "sequence": sequence}
            row = found.own.execute(sql.SQL(ARRIVED).format(table=table), given).fetchone()
            if not (row and row[0]):
                waiting.append(f"{event} for {consumer}")
    if waiting:
        return fails(f"{len(waiting)} events of the old primary are not delivered: {waiting[0]}", waiting=waiting[:20])
    return holds("every event of the old primary is delivered", undelivered_in_copy=len(rows))


def _copied(service: str) -> tuple[list[str], dict[str, Any]]:
    """What is the matter with the synchronisation and its verification, and what they say."""
    problems = []
    sync, verification, cutover = _latest(service), stages.latest_verification(service), _cutover(service)
    seen: dict[str, Any] = {"sync": None, "rows_compared": 0, "differences": None}
    if sync is None:
        problems.append("it was never synchronised")
    elif cutover is None or cutover.started_at < sync.started_at:
        problems.append("no cutover has found it synchronised to the end")
    else:
        seen |= {"sync": str(sync.sync_id), "sync_status": sync.status.value, "rows_copied": sync.records_processed}
        if sync.status in stages.LIVE:
            problems.append(f"the synchronisation is {sync.status} still")
        elif sync.status is SyncStatus.FAILED:
            problems.append(f"the synchronisation has failed: {sync.error}")
    if verification is None or verification.compared_at is None:
        problems.append("its rows were never compared to the end")
    else:
        seen |= {
            "rows_compared": verification.rows_compared,
            "differences": verification.differences,
            "compared_at": verification.compared_at.isoformat(),
        }
        if verification.differences:
            problems.append(f"{verification.differences} rows differed at the last comparison")
        if sync is not None and verification.started_at < sync.started_at:
            problems.append("the last comparison is of an earlier synchronisation")
    return problems, seen


def _latest(service: str) -> Sync | None:
    """The latest synchronisation that followed all of a service's tables."""
    for sync in call(DATASYNC).list(ctx=system_context(f"extraction.{service}"), limit=200):
        if sync.target_service == service and not sync.source_table and sync.sync_type is SyncType.INCREMENTAL:
            return sync
    return None


def _cutover(service: str) -> Move | None:
    """The latest cutover that found everything synchronised, whether its leader finished it or somebody after it."""
    for move in Move.objects.filter(service=service, verb="cutover").order_by("-started_at")[:50]:
        if any(check["name"] == "synchronised" and check["holds"] for check in move.checks):
            return move
    return None


def _left(found: Pair) -> list[str]:
    """Slots and subscriptions of this service's moves, on both servers."""
    pattern = f"^lc_{found.service}(_|$)"
    left = []
    for place, connection in (("shared", found.shared), ("own", found.own)):
        for kind, query in (("slot", SLOTS), ("subscription", SUBSCRIPTIONS)):
            left += [f"{kind} {name} ({place})" for (name,) in connection.execute(query, [pattern]).fetchall()]
    return left


def _unchanged(found: Pair) -> tuple[list[str], str]:
    """Whether the old tables are what they were at the commit."""
    then = _at_commit(found.service)
    tables = replication.tables_of(found.shared, found.service)
    if not tables:
        return [], "the old tables are gone"
    if then is None:
        return ["no commit has noted what the old primary held"], "not known"
    changed = sorted(name for name, now in baseline.of(found.shared, found.service).items() if now != then.get(name))
    if changed:
        return [f"the old primary was written since the commit: {', '.join(changed)}"], "changed"
    return [], f"{sum(rows for rows, _ in then.values())} rows of the old primary are what they were at the commit"


def _at_commit(service: str) -> dict[str, list[Any]] | None:
    """The first commit after the last cutover: one that is done again does not begin anew."""
    cutover = _cutover(service)
    if cutover is None:
        return None
    commits = Move.objects.filter(
        service=service, outcome=Outcome.DONE, verb="commit", started_at__gt=cutover.started_at
    ).order_by("started_at")
    for move in commits:
        if baseline.FACT in move.facts:
            return dict(move.facts[baseline.FACT])
    return None

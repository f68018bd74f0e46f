"""data_sync_completed and events_drained: rows and events arrived, the old primary is unchanged, nothing follows."""

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
# Delivered by the new primary, or deleted there after its delivery: its aggregate's queue has gone on beyond it.
ARRIVED = """
SELECT EXISTS (SELECT 1 FROM {table} WHERE id = %(id)s::uuid AND delivered_at IS NOT NULL)
    OR (NOT EXISTS (SELECT 1 FROM {table} WHERE id = %(id)s::uuid) AND EXISTS (
        SELECT 1 FROM {table} WHERE aggregate_id = %(aggregate)s::uuid AND consumer = %(consumer)s
          AND sequence > %(sequence)s AND delivered_at IS NOT NULL))
"""


def data_sync_completed(service: str) -> Finding:
    """The copy followed until the cutover, was found the same, and no slot or subscription is left."""
    with stages.pair(service) as pair:
        problems, evidence = _copied(service)
        waiting = _left(pair)
        if waiting:
            problems.append(f"left behind: {', '.join(waiting)}")
        changes, words = _unchanged(pair)
        evidence |= {"left": waiting, "old_home": words}
        problems += changes
    if problems:
        return fails("; ".join(problems), **evidence)
    return holds(f"{evidence['rows_compared']} rows were the same before the cutover; {words}", **evidence)


def events_drained(service: str) -> Finding:
    """Every event that is undelivered in the old primary was delivered by the new one."""
    with stages.pair(service) as pair:
        if not replication.tables_of(pair.shared, service):
            return holds("the old primary has no outbox any more")
        table = sql.Identifier("public", f"{service}_outbox")
        rows = pair.shared.execute(sql.SQL(WAITING).format(table)).fetchall()
        waiting = []
        for event, aggregate, consumer, sequence in rows:
            parameters = {"id": event, "aggregate": aggregate, "consumer": consumer, "sequence": sequence}
            row = pair.own.execute(sql.SQL(ARRIVED).format(table=table), parameters).fetchone()
            if not (row and row[0]):
                waiting.append(f"{event} for {consumer}")
    if waiting:
        return fails(f"{len(waiting)} events of the old primary are not delivered: {waiting[0]}", waiting=waiting[:20])
    return holds("every event of the old primary is delivered", undelivered_in_copy=len(rows))


def _copied(service: str) -> tuple[list[str], dict[str, Any]]:
    """Problems of the synchronisation and its verification, and the evidence."""
    problems = []
    sync, verification, cutover = _latest(service), stages.latest_verification(service), _cutover(service)
    evidence: dict[str, Any] = {"sync": None, "rows_compared": 0, "differences": None}
    if sync is None:
        problems.append("it was never synchronised")
    elif cutover is None or cutover.started_at < sync.started_at:
        problems.append("no cutover has found it synchronised to the end")
    else:
        evidence |= {"sync": str(sync.sync_id), "sync_status": sync.status.value, "rows_copied": sync.records_processed}
        if sync.status in stages.LIVE:
            problems.append(f"the synchronisation is {sync.status} still")
        elif sync.status is SyncStatus.FAILED:
            problems.append(f"the synchronisation has failed: {sync.error}")
    if verification is None or verification.compared_at is None:
        problems.append("its rows were never compared to the end")
    else:
        evidence |= {
            "rows_compared": verification.rows_compared,
            "differences": verification.differences,
            "compared_at": verification.compared_at.isoformat(),
        }
        if verification.differences:
            problems.append(f"{verification.differences} rows differed at the last comparison")
        if sync is not None and verification.started_at < sync.started_at:
            problems.append("the last comparison is of an earlier synchronisation")
    return problems, evidence


def _latest(service: str) -> Sync | None:
    """The latest synchronisation that followed all of a service's tables."""
    for sync in call(DATASYNC).list(ctx=system_context(f"extraction.{service}"), limit=200):
        if sync.target_service == service and not sync.source_table and sync.sync_type is SyncType.INCREMENTAL:
            return sync
    return None


def _cutover(service: str) -> Move | None:
    """The latest cutover that found all rows synchronised, finished by its leader or by a later one."""
    for move in Move.objects.filter(service=service, verb="cutover").order_by("-started_at")[:50]:
        if any(check["name"] == "synchronised" and check["holds"] for check in move.checks):
            return move
    return None


def _left(pair: Pair) -> list[str]:
    """Slots and subscriptions of this service's relocations, on both servers."""
    pattern = f"^lc_{pair.service}(_|$)"
    remaining = []
    for place, connection in (("shared", pair.shared), ("own", pair.own)):
        for kind, query in (("slot", SLOTS), ("subscription", SUBSCRIPTIONS)):
            remaining += [f"{kind} {name} ({place})" for (name,) in connection.execute(query, [pattern]).fetchall()]
    return remaining


def _unchanged(pair: Pair) -> tuple[list[str], str]:
    """Problems if the old tables have changed since the commit, and a description."""
    then = _at_commit(pair.service)
    tables = replication.tables_of(pair.shared, pair.service)
    if not tables:
        return [], "the old tables are gone"
    if then is None:
        return ["no commit has noted what the old primary held"], "not known"
    changed = sorted(name for name, now in baseline.of(pair.shared, pair.service).items() if now != then.get(name))
    if changed:
        return [f"the old primary was written since the commit: {', '.join(changed)}"], "changed"
    return [], f"{sum(rows for rows, _ in then.values())} rows of the old primary are what they were at the commit"


def _at_commit(service: str) -> dict[str, list[Any]] | None:
    """The contents noted by the first commit after the last cutover; a repeated commit does not replace them."""
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

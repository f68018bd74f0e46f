"""The first part of a relocation, unnoticed by people: create the tables, copy and follow the rows, compare them."""

from __future__ import annotations

import time
from functools import partial
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.core.flags.routes import system_context
from apps.core.interface.context import CallContext
from apps.core.postgres import connections, migrate_service
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncPhase, SyncStatus, SyncType, Verification, VerificationStatus
from apps.extraction.relocation import cutover, preconditions
from apps.extraction.state import stages
from apps.extraction.state.action import Run, Step
from apps.extraction.state.checks import Check, Refused
from apps.extraction.state.initiator import Initiator

POLL_SECONDS = 0.1
COMPARISON_HOURS = 24

MIGRATE = Step("migrate", _("migrate: apply the service's migrations in its own database"))
START = Step("start", _("start: publish the tables, refuse DDL on them from now on, make a slot and take its snapshot"))
COPY = Step("copy", _("copy: empty the target's tables, copy every row in parallel, then build keys and indexes"))
FOLLOW = Step("follow", _("follow: apply every change since the snapshot, from now on"))
COMPARE = Step("compare", _("compare: checksums of every row on both sides, then of every row that changes"))


def prepare_checks(run: Run) -> list[Check]:
    """No relocation is under way, during which tables keep their shape."""
    with connections.control(run.service) as own:
        row = own.execute("SELECT to_regclass('extraction.fence')").fetchone()
        is_moving = bool(row and row[0]) and stages.side(own, run.service, run.service).is_moving
    return [Check("moving", not is_moving, "its tables keep their shape" if is_moving else "nothing moves")]


def prepare(run: Run) -> None:
    """Make the service's tables in its own database."""
    run.do(MIGRATE, partial(migrate_service.prepare, run.service), run.service)


def sync_checks(run: Run) -> list[Check]:
    """The checks before rows are copied."""
    with run.both() as pair:
        return preconditions.before_sync(pair, run.observed)


def sync(run: Run) -> None:
    """Copy every row, and follow every change from then on. Returns when the service's own database follows."""
    service, live = run.service, run.observed.sync
    started = run.do(START, lambda: live or _start(run))
    sync_id = started.sync_id if started is not None else UUID(int=0)
    run.do(COPY, lambda: _followed(service, sync_id, run.initiator, until_current=False))
    current = run.do(FOLLOW, lambda: _followed(service, sync_id, run.initiator, until_current=True))
    if current is not None:
        run.note(facts={"rows": current.records_processed, "rows_per_second": current.rows_per_second})


def _start(run: Run) -> Sync:
    with run.both() as pair:
        # The way back of an earlier relocation: the TRUNCATE of a copy must not reach the primary.
        cutover.drop_way_back(pair)
    return call(DATASYNC).start(ctx=system_ctx(run.service), target_service=run.service, sync_type=SyncType.INCREMENTAL)


def verify(run: Run) -> None:
    """Compare every row on both sides, then every row that changes. Returns when every row was compared."""
    if (compared := run.do(COMPARE, lambda: _compared(run))) is None:
        return
    run.note(
        facts={
            "rows": compared.rows_compared,
            "rows_per_second": compared.rows_per_second,
            "differences": compared.differences,
        }
    )
    if compared.differences:
        where = f"/api/v1/sync/verify/{run.service}/differences"
        run.write_line(f"{compared.differences} rows differ: see {where} or the admin")


def _followed(service: str, sync_id: UUID, initiator: Initiator, *, until_current: bool) -> Sync:
    """Advance the synchronisation until it follows, and with `until_current` until its lag is known.

    Raises: Refused.
    """
    shown_at = 0.0
    while True:
        sync = call(DATASYNC).advance(ctx=system_ctx(service), sync_id=sync_id)
        if sync.status is not SyncStatus.RUNNING:
            raise Refused([Check("synchronised", False, f"{sync.status} {sync.error}".strip())])
        if sync.phase is SyncPhase.FOLLOWING and (sync.lag_seconds is not None or not until_current):
            return sync
        if time.monotonic() - shown_at > 1:
            shown_at = time.monotonic()
            time_left = "" if sync.seconds_left is None else f", about {sync.seconds_left} s left"
            initiator.progress(
                f"{sync.phase}: {sync.records_processed} of about {sync.records_total} rows,"
                f" {sync.rows_per_second} rows/s{time_left}",
                sync.records_processed,
                sync.records_total,
            )
        time.sleep(POLL_SECONDS)


def _compared(run: Run) -> Verification:
    """Advance the comparison until every row was compared. Raises: Refused."""
    service = run.service
    verification = call(DATASYNC).verify(ctx=system_ctx(service), target_service=service, anew=run.anew)
    deadline, shown_at = time.monotonic() + COMPARISON_HOURS * 3600, time.monotonic()
    while verification.compared_at is None or verification.checked_at is None:
        if time.monotonic() > deadline:
            words = f"{verification.rows_compared} of about {verification.rows_total} rows compared"
            raise Refused([Check("verified", False, f"{verification.status}, {words} after {COMPARISON_HOURS} h")])
        if verification.status not in {VerificationStatus.RUNNING, VerificationStatus.FOLLOWING}:
            raise Refused([Check("verified", False, f"{verification.status} {verification.error}")])
        time.sleep(POLL_SECONDS)
        advance(service)
        verification = call(DATASYNC).verification(ctx=system_ctx(service), target_service=service)
        if time.monotonic() - shown_at > 1:
            shown_at = time.monotonic()
            run.initiator.progress(
                f"compared: {verification.rows_compared} of about {verification.rows_total} rows,"
                f" {verification.rows_per_second} rows/s, {verification.differences} differ",
                verification.rows_compared,
                verification.rows_total,
            )
    return verification


def advance(service: str) -> None:
    """Make sure that a worker runs the synchronisation and its verification."""
    if (sync := stages.live_sync(service)) is not None:
        call(DATASYNC).advance(ctx=system_ctx(service), sync_id=sync.sync_id)


def system_ctx(service: str) -> CallContext:
    """The call context of a relocation's calls to `datasync`."""
    return system_context(f"extraction.{service}", timeout_ms=30_000)

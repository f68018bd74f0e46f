"""Datasync in this process: permissions, preconditions and records. `logic` does the work."""

from __future__ import annotations

import builtins
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from apps.core.interface.context import CallContext
from apps.core.interface.errors import Forbidden
from apps.core.seam.server.commands import command
from apps.datasync import mapping
from apps.datasync.gateways import subscription, tables
from apps.datasync.interface import (
    AlreadySyncing,
    Comparison,
    Difference,
    IllegalSyncMove,
    NotFollowing,
    Offset,
    PageSize,
    ServiceName,
    Sync,
    SyncNotFound,
    SyncPhase,
    SyncStatus,
    SyncType,
    TableName,
    UnknownTable,
    Verification,
    VerificationNotFound,
    VerificationStatus,
)
from apps.datasync.logic import sync_worker, verification_worker
from apps.datasync.models import Difference as DifferenceRow
from apps.datasync.models import Sync as SyncRow
from apps.datasync.models import Verification as VerificationRow


class Datasync:
    """Implements `DatasyncService`."""

    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName | None = None,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        _administrators_only(ctx)
        subscription.require_target(target_service)
        subscription.require_primary(target_service)
        with subscription.connect(target_service) as ends:
            chosen = tables.describe_all(ends.source, target_service, source_table or "")
            if missing := {table.name for table in chosen} - {*tables.tables_of(ends.target, target_service)}:
                raise UnknownTable(table=min(missing))
        _refuse_second(target_service, source_table)
        try:
            with command(ctx) as work:
                row = SyncRow.objects.create(
                    source_table=source_table or "",
                    target_service=target_service,
                    sync_type=sync_type,
                    status=SyncStatus.RUNNING,
                    phase=SyncPhase.WAITING,
                    records_total=sum(table.rows for table in chosen),
                    bytes_total=sum(table.pages for table in chosen) * tables.PAGE_BYTES,
                    started_at=timezone.now(),
                )
                return work.finish(mapping.sync(row, timezone.now()))
        except IntegrityError:
            _refuse_second(target_service, source_table)
            raise

    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        row = _row(sync_id)
        subscription.require_target(row.target_service)
        if row.status in sync_worker.LIVE:
            sync_worker.ensure_running(sync_id)
            _ensure_verification_running(row)
        with command(ctx) as work:
            return work.finish(mapping.sync(_row(sync_id), timezone.now()))

    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        return mapping.sync(_row(sync_id), timezone.now())

    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> builtins.tuple[Sync, ...]:
        _administrators_only(ctx)
        now = timezone.now()
        return tuple(mapping.sync(row, now) for row in SyncRow.objects.order_by("-started_at", "-id")[:limit])

    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return _move(ctx, sync_id, SyncStatus.PAUSED)

    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return _move(ctx, sync_id, SyncStatus.RUNNING)

    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        # Marked first, so that its worker stops. A cancel that dies is finished by the next one, or by `sweep`.
        SyncRow.objects.filter(id=sync_id, status__in=sync_worker.LIVE).update(status=SyncStatus.CANCELLED)
        row = _row(sync_id)
        if row.status != SyncStatus.CANCELLED or row.finished_at is not None:
            raise IllegalSyncMove(status=SyncStatus(row.status))
        with subscription.connect(row.target_service) as ends:
            dropped = subscription.end(ends, sync_worker.line_of(row))
            if not row.source_table and _stop_verifying(ends, row.target_service):
                dropped.append(subscription.verifying_slot(row.target_service))
        with command(ctx) as work:
            row = SyncRow.objects.select_for_update().get(id=sync_id)
            row.phase, row.finished_at = SyncPhase.ENDED, timezone.now()
            row.error = f"slots dropped: {', '.join(dropped)}" if dropped else ""
            row.save(update_fields=["phase", "finished_at", "error"])
            return work.finish(mapping.sync(row, timezone.now()))

    def sweep(self, *, ctx: CallContext) -> builtins.tuple[str, ...]:
        _administrators_only(ctx)
        dropped = subscription.drop_strays(_slots_in_use)
        with command(ctx) as work:
            return work.finish(dropped)

    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        _administrators_only(ctx)
        with subscription.connect(target_service) as ends:
            of_source = tables.describe(ends.source, target_service, source_table)
            of_target = tables.describe(ends.target, target_service, source_table)
            (source_rows, source_sum), (target_rows, target_sum) = (
                tables.checksum(ends.source, of_source),
                tables.checksum(ends.target, of_target),
            )
        equal = (source_rows, source_sum) == (target_rows, target_sum)
        return Comparison(source_rows=source_rows, target_rows=target_rows, equal=equal)

    def verify(self, *, ctx: CallContext, target_service: ServiceName, anew: bool = False) -> Verification:
        _administrators_only(ctx)
        subscription.require_target(target_service)
        whole = SyncRow.objects.filter(target_service=target_service, source_table="", status__in=sync_worker.LIVE)
        if not whole.filter(sync_type=SyncType.INCREMENTAL, phase=SyncPhase.FOLLOWING).exists():
            raise NotFollowing(service=target_service)
        latest = _latest(target_service)
        if anew or latest is None or latest.status not in verification_worker.LIVE:
            # A stopped verification has lost its slot: the changes since are unknown.
            with subscription.connect(target_service) as ends:
                _stop_verifying(ends, target_service)
            latest = None
        with command(ctx) as work:
            row = latest or VerificationRow.objects.create(
                target_service=target_service, status=VerificationStatus.RUNNING, started_at=timezone.now()
            )
            answer = work.finish(_verification(row))
        verification_worker.ensure_running(row.id)
        return answer

    def verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        _administrators_only(ctx)
        return _verification(_required(target_service))

    def differences(
        self, *, ctx: CallContext, target_service: ServiceName, limit: PageSize = 50, offset: Offset = 0
    ) -> builtins.tuple[Difference, ...]:
        _administrators_only(ctx)
        rows = _required(target_service).differences.filter(is_certain=True).order_by("table", "key")
        return tuple(mapping.difference(row) for row in rows[offset : offset + limit])

    def stop_verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        _administrators_only(ctx)
        _required(target_service)
        with subscription.connect(target_service) as ends:
            _stop_verifying(ends, target_service)
        with command(ctx) as work:
            return work.finish(_verification(_required(target_service)))


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden


def _row(sync_id: UUID) -> SyncRow:
    row = SyncRow.objects.filter(id=sync_id).first()
    if row is None:
        raise SyncNotFound
    return row


def _refuse_second(service: str, table: str | None) -> None:
    """Raise AlreadySyncing while the same tables are being copied: all of a service's, or one of them."""
    live = SyncRow.objects.filter(target_service=service, status__in=sync_worker.LIVE)
    if table:
        live = live.filter(source_table__in=["", table])
    if (other := live.first()) is not None:
        raise AlreadySyncing(service=service, sync_id=other.id)


def _move(ctx: CallContext, sync_id: UUID, status: SyncStatus) -> Sync:
    _administrators_only(ctx)
    with command(ctx) as work:
        row = SyncRow.objects.select_for_update().filter(id=sync_id).first()
        if row is None:
            raise SyncNotFound
        if row.status not in sync_worker.LIVE:
            raise IllegalSyncMove(status=SyncStatus(row.status))
        row.status = status
        row.save(update_fields=["status"])
        return work.finish(mapping.sync(row, timezone.now()))


def _slots_in_use() -> set[str]:
    """The slots of live synchronisations and verifications."""
    lines = {sync_worker.line_of(row).name for row in SyncRow.objects.filter(status__in=sync_worker.LIVE)}
    verified = VerificationRow.objects.filter(status__in=verification_worker.LIVE).values_list(
        "target_service", flat=True
    )
    return lines | {subscription.verifying_slot(service) for service in verified}


def _ensure_verification_running(row: SyncRow) -> None:
    latest = None if row.source_table or row.phase != SyncPhase.FOLLOWING else _latest(row.target_service)
    if latest is not None and latest.status in verification_worker.LIVE:
        verification_worker.ensure_running(latest.id)


def _stop_verifying(ends: subscription.Ends, service: str) -> bool:
    """Stop a service's verification. Returns whether there was a slot to drop."""
    VerificationRow.objects.filter(target_service=service, status__in=verification_worker.LIVE).update(
        status=VerificationStatus.STOPPED
    )
    return verification_worker.drop_slot(ends, service)


def _latest(service: str) -> VerificationRow | None:
    return VerificationRow.objects.filter(target_service=service).order_by("-started_at", "-id").first()


def _required(service: str) -> VerificationRow:
    row = _latest(service)
    if row is None:
        raise VerificationNotFound
    return row


def _verification(row: VerificationRow) -> Verification:
    return mapping.verification(row, DifferenceRow.objects.filter(verification=row, is_certain=True).count())

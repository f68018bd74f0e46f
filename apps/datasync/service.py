"""Datasync in this process: scope, copying outside any transaction, progress inside the command's."""

from __future__ import annotations

import builtins
from uuid import UUID

import psycopg
from django.utils import timezone

from apps.core.seam.commands import command
from apps.core.seam.context import CallContext
from apps.core.seam.errors import Forbidden
from apps.datasync import mapping
from apps.datasync.gateways import tables
from apps.datasync.interface import (
    Comparison,
    IllegalSyncMove,
    PageSize,
    ServiceName,
    Sync,
    SyncNotFound,
    SyncStatus,
    SyncType,
    TableName,
)
from apps.datasync.models import Sync as SyncRow

LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)


class Datasync:
    """Implements `DatasyncService`."""

    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        _administrators_only(ctx)
        with tables.target(target_service) as destination, tables.source(target_service) as origin:
            table = tables.describe(origin, target_service, source_table)
            tables.describe(destination, target_service, source_table)
            total = tables.count(origin, table)
        with command(ctx) as work:
            row = SyncRow.objects.create(
                source_table=table.name,
                target_service=target_service,
                sync_type=sync_type,
                status=SyncStatus.RUNNING,
                records_total=total,
                started_at=timezone.now(),
            )
            return work.finish(mapping.sync(row))

    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        row = _row(sync_id)
        copied, last, problem = 0, row.last_key, ""
        if row.status == SyncStatus.RUNNING:
            with tables.target(row.target_service) as destination, tables.source(row.target_service) as origin:
                table = tables.describe(origin, row.target_service, row.source_table)
                try:
                    copied, last = tables.copy_piece(origin, destination, table, row.last_key)
                except (
                    psycopg.IntegrityError
                ) as error:  # a row that the target cannot hold; trying again would not help
                    problem = str(error).split("\n")[0]
        with command(ctx) as work:
            current = SyncRow.objects.select_for_update().get(id=sync_id)
            # Somebody else copied this piece, or paused or cancelled meanwhile: their word stands.
            if current.status == SyncStatus.RUNNING and current.last_key == row.last_key:
                current.records_processed += copied
                current.last_key = last
                if problem:
                    current.status, current.error, current.finished_at = SyncStatus.FAILED, problem, timezone.now()
                elif not copied:
                    current.status, current.finished_at = SyncStatus.COMPLETED, timezone.now()
                current.save()
            return work.finish(mapping.sync(current))

    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        return mapping.sync(_row(sync_id))

    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> builtins.tuple[Sync, ...]:
        _administrators_only(ctx)
        return tuple(mapping.sync(row) for row in SyncRow.objects.order_by("-started_at", "-id")[:limit])

    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return _move(ctx, sync_id, SyncStatus.PAUSED)

    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return _move(ctx, sync_id, SyncStatus.RUNNING)

    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return _move(ctx, sync_id, SyncStatus.CANCELLED)

    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        _administrators_only(ctx)
        with tables.target(target_service) as destination, tables.source(target_service) as origin:
            ours = tables.describe(origin, target_service, source_table)
            theirs = tables.describe(destination, target_service, source_table)
            counts = tables.count(origin, ours), tables.count(destination, theirs)
            sums = tables.checksum(origin, ours), tables.checksum(destination, theirs)
        equal = counts[0] == counts[1] and sums[0] == sums[1]
        return Comparison(source_rows=counts[0], target_rows=counts[1], equal=equal)


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden


def _row(sync_id: UUID) -> SyncRow:
    row = SyncRow.objects.filter(id=sync_id).first()
    if row is None:
        raise SyncNotFound
    return row


def _move(ctx: CallContext, sync_id: UUID, status: SyncStatus) -> Sync:
    _administrators_only(ctx)
    with command(ctx) as work:
        row = SyncRow.objects.select_for_update().filter(id=sync_id).first()
        if row is None:
            raise SyncNotFound
        if row.status not in LIVE:
            raise IllegalSyncMove(status=SyncStatus(row.status))
        row.status = status
        row.finished_at = timezone.now() if status == SyncStatus.CANCELLED else None
        row.save(update_fields=["status", "finished_at"])
        return work.finish(mapping.sync(row))

"""A fake of datasync for other apps' tests: tables are lists of rows in two dictionaries."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from apps.core.ids import new_id
from apps.core.seam.context import CallContext
from apps.core.seam.errors import Forbidden
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
    UnknownTable,
)

LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)


class FakeDatasync:
    """Implements `DatasyncService` in memory. `tables` names the tables that exist and how many rows they have."""

    def __init__(self, tables: dict[str, int]) -> None:
        self._tables = tables
        self._copied: dict[str, int] = {}
        self._syncs: dict[UUID, Sync] = {}

    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        _administrators_only(ctx)
        self._require(source_table, target_service)
        sync = Sync(
            sync_id=new_id(),
            source_table=source_table,
            target_service=target_service,
            sync_type=sync_type,
            status=SyncStatus.RUNNING,
            records_processed=0,
            records_total=self._tables[source_table],
            started_at=datetime.now(UTC),
            finished_at=None,
            error="",
        )
        return self._keep(sync)

    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        sync = self.get(ctx=ctx, sync_id=sync_id)
        if sync.status != SyncStatus.RUNNING:
            return sync
        if sync.records_processed == sync.records_total:
            return self._keep(msgspec.structs.replace(sync, status=SyncStatus.COMPLETED, finished_at=datetime.now(UTC)))
        self._copied[sync.source_table] = sync.records_total
        return self._keep(msgspec.structs.replace(sync, records_processed=sync.records_total))

    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        _administrators_only(ctx)
        if sync_id not in self._syncs:
            raise SyncNotFound
        return self._syncs[sync_id]

    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> builtins.tuple[Sync, ...]:
        _administrators_only(ctx)
        return tuple(reversed(self._syncs.values()))[:limit]

    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return self._move(ctx, sync_id, SyncStatus.PAUSED)

    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return self._move(ctx, sync_id, SyncStatus.RUNNING)

    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        return self._move(ctx, sync_id, SyncStatus.CANCELLED)

    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        _administrators_only(ctx)
        self._require(source_table, target_service)
        ours, theirs = self._tables[source_table], self._copied.get(source_table, 0)
        return Comparison(source_rows=ours, target_rows=theirs, equal=ours == theirs)

    def _require(self, table: str, service: str) -> None:
        if table not in self._tables or not table.startswith(f"{service}_"):
            raise UnknownTable(table=table)

    def _move(self, ctx: CallContext, sync_id: UUID, status: SyncStatus) -> Sync:
        sync = self.get(ctx=ctx, sync_id=sync_id)
        if sync.status not in LIVE:
            raise IllegalSyncMove(status=sync.status)
        ended = datetime.now(UTC) if status == SyncStatus.CANCELLED else None
        return self._keep(msgspec.structs.replace(sync, status=status, finished_at=ended))

    def _keep(self, sync: Sync) -> Sync:
        self._syncs[sync.sync_id] = sync
        return sync


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden

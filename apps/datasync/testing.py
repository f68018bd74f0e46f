"""A fake of datasync for other apps' tests: tables are row counts, and each copy finishes at the next `advance`."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from msgspec.structs import replace

from apps.core import topology
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.errors import Forbidden
from apps.datasync.interface import (
    AlreadySyncing,
    Comparison,
    Difference,
    IllegalSyncMove,
    NoTarget,
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

LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)


class FakeDatasync:
    """Implements `DatasyncService` in memory. `tables` names the tables that exist and how many rows they have."""

    def __init__(self, tables: dict[str, int]) -> None:
        self._tables = tables
        self._copied: dict[str, int] = {}
        self._syncs: dict[UUID, Sync] = {}
        self._verifications: dict[str, Verification] = {}

    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName | None = None,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        _administrators_only(ctx)
        if target_service not in topology.entries() or target_service == "datasync":
            raise NoTarget(service=target_service)
        chosen = self._chosen(source_table or "", target_service)
        for other in self._syncs.values():
            is_same = other.target_service == target_service and other.status in LIVE
            if is_same and (not source_table or other.source_table in {"", source_table}):
                raise AlreadySyncing(service=target_service, sync_id=other.sync_id)
        sync = Sync(
            sync_id=new_id(),
            source_table=source_table or "",
            target_service=target_service,
            sync_type=sync_type,
            status=SyncStatus.RUNNING,
            records_processed=0,
            records_total=sum(self._tables[name] for name in chosen),
            started_at=datetime.now(UTC),
            finished_at=None,
            error="",
        )
        return self._save(sync)

    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        sync = self.get(ctx=ctx, sync_id=sync_id)
        if sync.status != SyncStatus.RUNNING or sync.phase is SyncPhase.FOLLOWING:
            return sync
        for name in self._chosen(sync.source_table, sync.target_service):
            self._copied[name] = self._tables[name]
        sync = replace(sync, records_processed=sync.records_total, attempt=1)
        if sync.sync_type is SyncType.INCREMENTAL:
            sync = replace(sync, phase=SyncPhase.FOLLOWING, lag_seconds=Decimal(0), lag_bytes=0)
        else:
            now = datetime.now(UTC)
            sync = replace(sync, phase=SyncPhase.ENDED, status=SyncStatus.COMPLETED, finished_at=now)
        return self._save(sync)

    def sweep(self, *, ctx: CallContext) -> builtins.tuple[str, ...]:
        _administrators_only(ctx)
        return ()

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
        self._move(ctx, sync_id, SyncStatus.CANCELLED)
        ended = replace(self._syncs[sync_id], phase=SyncPhase.ENDED, finished_at=datetime.now(UTC))
        return self._save(ended)

    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        _administrators_only(ctx)
        self._chosen(source_table, target_service)
        source_rows, target_rows = self._tables[source_table], self._copied.get(source_table, 0)
        return Comparison(source_rows=source_rows, target_rows=target_rows, equal=source_rows == target_rows)

    def verify(self, *, ctx: CallContext, target_service: ServiceName, anew: bool = False) -> Verification:
        _administrators_only(ctx)
        if not any(
            sync.target_service == target_service and sync.phase is SyncPhase.FOLLOWING and not sync.source_table
            for sync in self._syncs.values()
        ):
            raise NotFollowing(service=target_service)
        verification = self._verifications.get(target_service)
        if verification is None or anew:
            now, rows = datetime.now(UTC), sum(self._tables.values())
            verification = Verification(
                verification_id=new_id(),
                target_service=target_service,
                status=VerificationStatus.FOLLOWING,
                rows_compared=rows,
                rows_total=rows,
                differences=0,
                backlog=0,
                rows_per_second=rows,
                started_at=now,
                compared_at=now,
                checked_at=now,
                error="",
            )
        self._verifications[target_service] = replace(verification, status=VerificationStatus.FOLLOWING)
        return self._verifications[target_service]

    def verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        _administrators_only(ctx)
        if target_service not in self._verifications:
            raise VerificationNotFound
        return self._verifications[target_service]

    def differences(
        self, *, ctx: CallContext, target_service: ServiceName, limit: PageSize = 50, offset: Offset = 0
    ) -> builtins.tuple[Difference, ...]:
        self.verification(ctx=ctx, target_service=target_service)
        return ()

    def stop_verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        verification = self.verification(ctx=ctx, target_service=target_service)
        self._verifications[target_service] = replace(verification, status=VerificationStatus.STOPPED)
        return self._verifications[target_service]

    def _chosen(self, table: str, service: str) -> builtins.list[str]:
        chosen = [name for name in self._tables if name.startswith(f"{service}_") and table in {"", name}]
        if not chosen:
            raise UnknownTable(table=table or f"{service}_*")
        return chosen

    def _move(self, ctx: CallContext, sync_id: UUID, status: SyncStatus) -> Sync:
        sync = self.get(ctx=ctx, sync_id=sync_id)
        if sync.status not in LIVE:
            raise IllegalSyncMove(status=sync.status)
        return self._save(replace(sync, status=status))

    def _save(self, sync: Sync) -> Sync:
        self._syncs[sync.sync_id] = sync
        return sync


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden

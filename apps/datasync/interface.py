"""Copying tables from the database of one home to another. The public file of `datasync`.

Here: errors, DTOs and the Protocol. Not here: who serves or who owns (`core` flags, cutover).
"""

from __future__ import annotations

import enum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.seam.context import CallContext
from apps.core.seam.dto import Dto, Instant
from apps.core.seam.errors import Category, DomainError, gettext_noop
from apps.core.seam.service import ServiceKey, command, query

TableName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$(?!\n)")]
ServiceName = Annotated[str, Meta(pattern=r"^[a-z]{1,32}$(?!\n)")]
PageSize = Annotated[int, Meta(ge=1, le=200)]


class SyncType(enum.StrEnum):
    """How a table is brought over."""

    FULL = "full"


class SyncStatus(enum.StrEnum):
    """Where a synchronisation stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Sync(Dto):
    """One synchronisation of one table. Counts are of rows."""

    sync_id: UUID
    source_table: str
    target_service: str
    sync_type: SyncType
    status: SyncStatus
    records_processed: int
    records_total: int
    started_at: Instant
    finished_at: Instant | None
    error: str


class Comparison(Dto):
    """Whether a table holds the same rows on both sides: the count and a checksum that ignores order."""

    source_rows: int
    target_rows: int
    equal: bool


class SyncNotFound(DomainError, code="sync_not_found", category=Category.NOT_FOUND):
    """No such synchronisation."""

    message = gettext_noop("There is no such synchronisation.")


class UnknownTable(DomainError, code="unknown_table", category=Category.INVALID):
    """The service has no such table, or it has no primary key of one column."""

    message = gettext_noop("The service has no table {table} that can be copied.")
    table: str


class NoTarget(DomainError, code="no_sync_target", category=Category.CONFLICT):
    """No database is configured as the target of this service."""

    message = gettext_noop("No target database is configured for {service}.")
    service: str


class IllegalSyncMove(DomainError, code="illegal_sync_move", category=Category.CONFLICT):
    """It has ended already."""

    message = gettext_noop("The synchronisation is {status}.")
    status: SyncStatus


class DatasyncService(Protocol):
    """Copies of tables; administrators and the system only. Every operation raises Forbidden for others."""

    @command
    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        """Begin to copy a table of a service to that service's target database. Raises: UnknownTable, NoTarget."""

    @command(timeout_ms=30_000)
    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Copy the next piece; repeat until it is no longer running. Raises: SyncNotFound, NoTarget."""

    @query
    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """A synchronisation. Raises: SyncNotFound."""

    @query
    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> tuple[Sync, ...]:
        """The newest synchronisations."""

    @command
    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Stop for now. Raises: SyncNotFound, IllegalSyncMove."""

    @command
    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Go on from where it stopped. Raises: SyncNotFound, IllegalSyncMove."""

    @command
    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """End it; what was copied stays on the target. Raises: SyncNotFound, IllegalSyncMove."""

    @query(timeout_ms=30_000)
    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        """Compare a table on both sides. Raises: UnknownTable, NoTarget."""


DATASYNC: ServiceKey[DatasyncService] = ServiceKey("datasync", DatasyncService)

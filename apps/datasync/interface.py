"""Copying tables from the database of one primary to another. The public file of `datasync`.

Here: errors, DTOs and the Protocol. Not here: who serves or who owns (`core` flags, cutover).
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.operations import ServiceKey, command, query

TableName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$(?!\n)")]
ServiceName = Annotated[str, Meta(pattern=r"^[a-z]{1,32}$(?!\n)")]
PageSize = Annotated[int, Meta(ge=1, le=200)]
Offset = Annotated[int, Meta(ge=0, le=2**31)]


class SyncType(enum.StrEnum):
    """How a table is brought over."""

    FULL = "full"
    INCREMENTAL = "incremental"


class SyncPhase(enum.StrEnum):
    """What is being done. Keys and indexes are built after the rows; following goes on until it is cancelled."""

    WAITING = "waiting"
    COPYING = "copying"
    BUILDING_KEYS = "building_keys"
    FOLLOWING = "following"
    ENDED = "ended"


class SyncStatus(enum.StrEnum):
    """Where a synchronisation stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Sync(Dto):
    """One synchronisation of one table, or of all tables of a service where `source_table` is empty.

    `records_total` is estimated. `lag_seconds` is how old the newest change is that the target has seen, `lag_bytes` how much of the log
    it has not confirmed; both only while it follows. `attempt` counts copies begun anew.
    """

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
    phase: SyncPhase = SyncPhase.WAITING
    bytes_processed: int = 0
    bytes_total: int = 0
    rows_per_second: int = 0
    seconds_left: int | None = None
    lag_seconds: Decimal | None = None
    lag_bytes: int | None = None
    attempt: int = 0


class VerificationStatus(enum.StrEnum):
    """Where a verification stands. `following` has compared every row once and goes on with those that change."""

    RUNNING = "running"
    FOLLOWING = "following"
    STOPPED = "stopped"
    FAILED = "failed"


class Verification(Dto):
    """Every row of every table of a service on both sides. `backlog` counts changed rows that are yet to be compared.

    `compared_at` is when all rows had been compared once, `checked_at` when the changed ones were last looked at.
    """

    verification_id: UUID
    target_service: str
    status: VerificationStatus
    rows_compared: int
    rows_total: int
    differences: int
    backlog: int
    rows_per_second: int
    started_at: Instant
    compared_at: Instant | None
    checked_at: Instant | None
    error: str


class DifferenceKind(enum.StrEnum):
    """What is the matter with a row of the target."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"


class Difference(Dto):
    """A row that is not the same on both sides: its key as text, by column, and the columns that differ."""

    table: str
    key: tuple[str, ...]
    kind: DifferenceKind
    fields: tuple[str, ...]


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


class AlreadySyncing(DomainError, code="already_syncing", category=Category.CONFLICT):
    """A synchronisation of the same tables is under way."""

    message = gettext_noop("{service} is being synchronised already: {sync_id}.")
    service: str
    sync_id: UUID


class AlreadyMoved(DomainError, code="already_moved", category=Category.CONFLICT):
    """The service's own database is the primary of its data: there is nothing to bring there."""

    message = gettext_noop("The data of {service} are in its own database already.")
    service: str


class NotFollowing(DomainError, code="not_following", category=Category.CONFLICT):
    """Rows are compared while the target follows the source; it does not."""

    message = gettext_noop("The target of {service} does not follow: start an incremental synchronisation first.")
    service: str


class VerificationNotFound(DomainError, code="verification_not_found", category=Category.NOT_FOUND):
    """This service has never been verified."""

    message = gettext_noop("There is no verification of this service.")


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
        source_table: TableName | None = None,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        """Begin to bring a table of a service, or all its tables, to that service's own database.

        `full` copies once, what is there now in place of what the target had. `incremental` copies and then follows every change
        until it is cancelled. Raises: UnknownTable, NoTarget, AlreadySyncing, AlreadyMoved.
        """

    @command(timeout_ms=30_000)
    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """See to it that somebody carries it on: this process, unless another does. Raises: SyncNotFound, NoTarget."""

    @command(timeout_ms=30_000)
    def sweep(self, *, ctx: CallContext) -> tuple[str, ...]:
        """Drop slots of the shared database that belong to nothing any more; their names."""

    @query
    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """A synchronisation. Raises: SyncNotFound."""

    @query
    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> tuple[Sync, ...]:
        """The newest synchronisations."""

    @command
    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Stop for now. The source keeps its log meanwhile, up to the bound. Raises: SyncNotFound, IllegalSyncMove."""

    @command
    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Go on from where it stopped. Raises: SyncNotFound, IllegalSyncMove."""

    @command(timeout_ms=30_000)
    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """End it and drop its slots; what was copied stays on the target. Raises: SyncNotFound, IllegalSyncMove."""

    @query(timeout_ms=30_000)
    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        """Compare a table on both sides. Raises: UnknownTable, NoTarget."""

    @command(timeout_ms=30_000)
    def verify(self, *, ctx: CallContext, target_service: ServiceName, anew: bool = False) -> Verification:
        """See to it that every row of a service is compared, then every row that changes; from where it stopped, unless `anew`.

        Raises: NoTarget, NotFollowing.
        """

    @query
    def verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        """How far it is. Raises: VerificationNotFound."""

    @query
    def differences(
        self, *, ctx: CallContext, target_service: ServiceName, limit: PageSize = 50, offset: Offset = 0
    ) -> tuple[Difference, ...]:
        """Rows that differ, by table and key. Raises: VerificationNotFound."""

    @command(timeout_ms=30_000)
    def stop_verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        """End it and drop its slot; what it found stays. Raises: VerificationNotFound."""


DATASYNC: ServiceKey[DatasyncService] = ServiceKey("datasync", DatasyncService)

"""Copying tables from the database of one primary to another. The public file of `datasync`.

Here: errors, DTOs and the Protocol. Not here: which process serves calls or which database is the primary
(`core` flags, cutover).
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
ServiceName = Annotated[str, Meta(pattern=r"^[a-z]{1,32}$(?!\n)", examples=["contracts"])]
PageSize = Annotated[int, Meta(ge=1, le=200)]
Offset = Annotated[int, Meta(ge=0, le=2**31)]


class SyncType(enum.StrEnum):
    """How a table is copied: once, or once and then followed."""

    FULL = "full"
    INCREMENTAL = "incremental"


class SyncPhase(enum.StrEnum):
    """The step under way. Keys and indexes are built after the rows; following goes on until it is cancelled."""

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

    `records_total` is estimated. `lag_seconds` is the age of the newest change that has reached the target, `lag_bytes`
    how much of the log the target has not confirmed; both only while it follows. `attempt` counts copies begun anew.
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
    """A comparison of every row of a service on both sides. `backlog` counts changed rows that are yet to be compared.

    `compared_at` is when all rows had been compared once, `checked_at` when changed rows were last compared.
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
    """How a row of the target differs."""

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
    """The service's own database is the primary of its data: there is nothing to copy there."""

    message = gettext_noop("The data of {service} are in its own database already.")
    service: str


class NotFollowing(DomainError, code="not_following", category=Category.CONFLICT):
    """Rows are compared only while the target follows the source, and it does not."""

    message = gettext_noop("The target of {service} does not follow: start an incremental synchronisation first.")
    service: str


class VerificationNotFound(DomainError, code="verification_not_found", category=Category.NOT_FOUND):
    """This service has never been verified."""

    message = gettext_noop("There is no verification of this service.")


class IllegalSyncMove(DomainError, code="illegal_sync_move", category=Category.CONFLICT):
    """The synchronisation has ended already."""

    message = gettext_noop("The synchronisation is {status}.")
    status: SyncStatus


class DatasyncService(Protocol):
    """Copying and comparing tables, for administrators and the system only."""

    @command
    def start(
        self,
        *,
        ctx: CallContext,
        source_table: TableName | None = None,
        target_service: ServiceName,
        sync_type: SyncType = SyncType.FULL,
    ) -> Sync:
        """Begin to copy a table of a service, or all its tables, to that service's own database.

        `full` copies once and replaces the target's rows. `incremental` copies and then follows every change until
        it is cancelled.

        Raises: Forbidden, NoTarget, AlreadyMoved, UnknownTable, AlreadySyncing.
        """

    @command(timeout_ms=30_000)
    def advance(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Run a live synchronisation here unless another process does. Raises: Forbidden, SyncNotFound, NoTarget."""

    @command(timeout_ms=30_000)
    def sweep(self, *, ctx: CallContext) -> tuple[str, ...]:
        """Drop unused slots of the shared database and return their names. Raises: Forbidden."""

    @query
    def get(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """A synchronisation. Raises: Forbidden, SyncNotFound."""

    @query
    def list(self, *, ctx: CallContext, limit: PageSize = 50) -> tuple[Sync, ...]:
        """The newest synchronisations. Raises: Forbidden."""

    @command
    def pause(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Pause a synchronisation. The source keeps its log meanwhile, up to `SYNC_SLOT_MAX_BYTES`.

        Raises: Forbidden, SyncNotFound, IllegalSyncMove.
        """

    @command
    def resume(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """Continue a paused synchronisation. Raises: Forbidden, SyncNotFound, IllegalSyncMove."""

    @command(timeout_ms=30_000)
    def cancel(self, *, ctx: CallContext, sync_id: UUID) -> Sync:
        """End a synchronisation and drop its slots; copied rows stay on the target.

        Raises: Forbidden, SyncNotFound, IllegalSyncMove, NoTarget.
        """

    @query(timeout_ms=30_000)
    def compare(self, *, ctx: CallContext, source_table: TableName, target_service: ServiceName) -> Comparison:
        """Compare a table on both sides. Raises: Forbidden, NoTarget, UnknownTable."""

    @command(timeout_ms=30_000)
    def verify(self, *, ctx: CallContext, target_service: ServiceName, anew: bool = False) -> Verification:
        """Compare every row of a service, then every row that changes; from where it stopped, unless `anew`.

        Raises: Forbidden, NoTarget, NotFollowing.
        """

    @query
    def verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        """The progress of a service's latest verification. Raises: Forbidden, VerificationNotFound."""

    @query
    def differences(
        self, *, ctx: CallContext, target_service: ServiceName, limit: PageSize = 50, offset: Offset = 0
    ) -> tuple[Difference, ...]:
        """Rows that are certain to differ, by table and key. Raises: Forbidden, VerificationNotFound."""

    @command(timeout_ms=30_000)
    def stop_verification(self, *, ctx: CallContext, target_service: ServiceName) -> Verification:
        """End a verification and drop its slot; its differences stay.

        Raises: Forbidden, VerificationNotFound, NoTarget.
        """


DATASYNC: ServiceKey[DatasyncService] = ServiceKey("datasync", DatasyncService)

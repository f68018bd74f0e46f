"""Synchronisations over REST; administrators only."""

from __future__ import annotations

from uuid import UUID

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, RequestBody
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.client.registry import call
from apps.datasync.interface import (
    DATASYNC,
    Difference,
    Offset,
    PageSize,
    ServiceName,
    Sync,
    SyncType,
    TableName,
    Verification,
)


class NewSync(RequestBody):
    """A table to copy, or all tables of a service."""

    target_service: ServiceName
    source_table: TableName | None = None
    sync_type: SyncType = SyncType.FULL


class Syncs(View):
    """sync."""

    @endpoint()
    def get(self, ctx: CallContext) -> tuple[Sync, ...]:
        """The newest synchronisations."""
        return call(DATASYNC).list(ctx=ctx)


class Start(View):
    """POST sync/start."""

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewSync) -> Sync:
        """Begin to copy a table, or all tables of a service, to the service's own database."""
        return call(DATASYNC).start(ctx=ctx, **fields_of(body))


class SyncDetail(View):
    """sync/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """A synchronisation."""
        return call(DATASYNC).get(ctx=ctx, sync_id=sync_id)


class Pause(View):
    """POST sync/{id}/pause."""

    @endpoint()
    def post(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """Pause a synchronisation."""
        return call(DATASYNC).pause(ctx=ctx, sync_id=sync_id)


class Resume(View):
    """POST sync/{id}/resume."""

    @endpoint()
    def post(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """Continue a paused synchronisation."""
        return call(DATASYNC).resume(ctx=ctx, sync_id=sync_id)


class Cancel(View):
    """POST sync/{id}/cancel."""

    @endpoint()
    def post(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """End a synchronisation and drop its slots."""
        return call(DATASYNC).cancel(ctx=ctx, sync_id=sync_id)


class NewVerification(RequestBody):
    """A service to compare; `anew` forgets what was compared before."""

    target_service: ServiceName
    anew: bool = False


class Verify(View):
    """POST sync/verify."""

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewVerification) -> Verification:
        """Compare every row of a service, then every row that changes."""
        return call(DATASYNC).verify(ctx=ctx, **fields_of(body))


class VerificationDetail(View):
    """sync/verify/{service}."""

    @endpoint()
    def get(self, ctx: CallContext, target_service: str) -> Verification:
        """The progress of a comparison, and how many rows differ."""
        return call(DATASYNC).verification(ctx=ctx, target_service=target_service)


class PageQuery(Dto):
    """The page of rows to list."""

    limit: PageSize = 50
    offset: Offset = 0


class Differences(View):
    """sync/verify/{service}/differences."""

    @endpoint()
    def get(self, ctx: CallContext, target_service: str, query: PageQuery) -> tuple[Difference, ...]:
        """The rows that differ, with the fields that differ."""
        return call(DATASYNC).differences(ctx=ctx, target_service=target_service, **fields_of(query))


class StopVerification(View):
    """POST sync/verify/{service}/stop."""

    @endpoint()
    def post(self, ctx: CallContext, target_service: str) -> Verification:
        """End a comparison and drop its slot."""
        return call(DATASYNC).stop_verification(ctx=ctx, target_service=target_service)

"""Synchronisations over REST; administrators only."""

from __future__ import annotations

from uuid import UUID

from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.context import CallContext
from apps.core.seam.dto import RequestBody
from apps.core.seam.registry import call
from apps.datasync.interface import DATASYNC, ServiceName, Sync, SyncType, TableName


class NewSync(RequestBody):
    """A table to copy."""

    source_table: TableName
    target_service: ServiceName
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
        """Begin to copy a table."""
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
        """Stop for now."""
        return call(DATASYNC).pause(ctx=ctx, sync_id=sync_id)


class Resume(View):
    """POST sync/{id}/resume."""

    @endpoint()
    def post(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """Go on."""
        return call(DATASYNC).resume(ctx=ctx, sync_id=sync_id)


class Cancel(View):
    """POST sync/{id}/cancel."""

    @endpoint()
    def post(self, ctx: CallContext, sync_id: UUID) -> Sync:
        """End it."""
        return call(DATASYNC).cancel(ctx=ctx, sync_id=sync_id)

"""The worker's entry point: goes on with every running synchronisation."""

from __future__ import annotations

from celery import shared_task

from apps.core.seam.context import new_context
from apps.core.seam.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus


@shared_task(name="datasync.advance")
def advance() -> None:
    """One piece of each, until none has more. A task that dies is continued by the next tick of the clock."""
    for sync in call(DATASYNC).list(ctx=new_context(), limit=200):
        status = sync.status
        while status == SyncStatus.RUNNING:
            status = call(DATASYNC).advance(ctx=new_context(timeout_ms=60_000), sync_id=sync.sync_id).status

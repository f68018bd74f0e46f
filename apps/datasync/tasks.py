"""The Celery task that keeps every live synchronisation running."""

from __future__ import annotations

from celery import shared_task

from apps.core.flags.routes import system_context
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus


@shared_task(name="datasync.advance")
def advance() -> None:
    """Start or restart every live synchronisation that no process runs."""
    for sync in call(DATASYNC).list(ctx=system_context("datasync.advance"), limit=200):
        if sync.status in {SyncStatus.RUNNING, SyncStatus.PAUSED}:
            call(DATASYNC).advance(ctx=system_context(str(sync.sync_id), timeout_ms=30_000), sync_id=sync.sync_id)

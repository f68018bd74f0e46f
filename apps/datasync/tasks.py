"""The worker's entry point: goes on with every running synchronisation."""

from __future__ import annotations

import time

from celery import shared_task

from apps.core.flags.routes import system_context
from apps.core.seam.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus

TICK_SECONDS = 1.5


@shared_task(name="datasync.advance")
def advance() -> None:
    """Pieces of each, for as long as a tick of the clock; the next one goes on, also where this one dies."""
    enough = time.monotonic() + TICK_SECONDS
    for sync in call(DATASYNC).list(ctx=system_context("datasync.advance"), limit=200):
        status = sync.status
        while status == SyncStatus.RUNNING and time.monotonic() < enough:
            ctx = system_context(str(sync.sync_id), timeout_ms=60_000)
            status = call(DATASYNC).advance(ctx=ctx, sync_id=sync.sync_id).status

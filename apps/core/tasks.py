"""Celery's entry points into the kernel: pumping outboxes, periodic jobs, purging old commands and delivered events."""

from __future__ import annotations

import time

import structlog
from celery import shared_task
from django.db import Error as DatabaseError

from apps.core import topology
from apps.core.flags.routes import system_context
from apps.core.observability import identity, spans
from apps.core.seam.client.registry import call
from apps.core.seam.events.relay import deliver_due
from apps.core.seam.server import purge as purge_tables

log = structlog.get_logger(__name__)


@shared_task(name="core.pump")
def relay_one(service: str) -> None:
    """The doorbell: one service's outbox."""
    deliver_due(service)


@shared_task(name="core.pump_all")
def relay_all() -> None:
    """The clock: every outbox."""
    for service in topology.loaded():
        try:
            deliver_due(service)
        except DatabaseError as error:  # one service's database is away; the others' events go on
            log.warning("outbox_not_pumped", app=service, error=str(error))


@shared_task(name="core.periodic")
def periodic(service: str, operation: str, seconds: int) -> None:
    """A periodic job as a command keyed by name and time slot: two schedulers do no harm."""
    slot = int(time.time()) // seconds
    with spans.job(f"{service}.{operation}"):
        ctx = system_context(f"{service}.{operation}", command_key=f"{operation}:{slot}", timeout_ms=60_000)
        with identity.working_for(ctx.request_id, ctx.trace):
            getattr(call(topology.key_of(service)), operation)(ctx=ctx)


@shared_task(name="core.purge")
def purge() -> None:
    """Forget commands after 72 hours and delivered events after 30 days."""
    for service in topology.loaded():
        purge_tables.purge(service)

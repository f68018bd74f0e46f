"""Celery's entry points into the kernel: the outbox relay, periodic jobs, and the purge of old commands and events."""

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
    """Deliver one service's outbox, after a notification."""
    deliver_due(service)


@shared_task(name="core.pump_all")
def relay_all() -> None:
    """Deliver every outbox, by the schedule."""
    for service in topology.loaded():
        try:
            deliver_due(service)
        except DatabaseError as error:  # one service's database is down; the other services' events continue
            log.warning("outbox_not_pumped", app=service, error=str(error))


@shared_task(name="core.periodic")
def periodic(service: str, operation: str, seconds: int) -> None:
    """Run a periodic job as a command keyed by name and time slot, so that two schedulers do no harm."""
    slot = int(time.time()) // seconds
    with spans.job(f"{service}.{operation}"):
        ctx = system_context(f"{service}.{operation}", command_key=f"{operation}:{slot}", timeout_ms=60_000)
        with identity.working_for(ctx.request_id, ctx.trace):
            getattr(call(topology.key_of(service)), operation)(ctx=ctx)


@shared_task(name="core.purge")
def purge() -> None:
    """Delete commands after 72 hours and delivered events after 30 days."""
    for service in topology.loaded():
        purge_tables.purge(service)

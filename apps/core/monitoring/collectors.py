"""Registers the kernel's collectors, which are read at each scrape."""

from __future__ import annotations

from django.conf import settings

from apps.core.database.primaries import SHARED
from apps.core.database.replicas import LagCollector
from apps.core.monitoring.outbox import OutboxCollector
from apps.core.monitoring.queues import QueueCollector
from apps.core.monitoring.servers import ServerCollector, servers
from apps.core.monitoring.shares import ShareCollector
from apps.core.observability import scrape_registry


def register() -> None:
    """Register a source for each server that may be down by itself."""
    for alias in (SHARED, *settings.SERVICE_DATABASE_URLS):
        scrape_registry.register(OutboxCollector(alias), f"outbox_{alias}")
    for server, alias in servers().items():
        scrape_registry.register(ServerCollector(server, alias), f"postgres_{server}")
    if settings.CELERY_BROKER_URL.startswith(("redis:", "rediss:", "redis+socket:", "unix:")):
        scrape_registry.register(QueueCollector(), "queues")
    if settings.REPLICA_URLS:
        scrape_registry.register(LagCollector(), "replicas")
    scrape_registry.register(ShareCollector(), "shares")

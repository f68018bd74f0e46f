"""Undelivered events, read from the outboxes themselves, so that the figures are right even while no relay runs."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections
from prometheus_client.core import GaugeMetricFamily

from apps.core import topology
from apps.core.database import primaries

ASK = """
SELECT '{service}', count(*), coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)
FROM {service}_outbox WHERE delivered_at IS NULL
"""


class OutboxCollector:
    """The outboxes whose primary is one database."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`seam_outbox_oldest_seconds{service}` and `seam_outbox_waiting_events{service}`. Raises: django.db.Error."""
        age = GaugeMetricFamily(
            "seam_outbox_oldest_seconds", "Age of the oldest undelivered event, 0 without any", labels=["service"]
        )
        waiting = GaugeMetricFamily("seam_outbox_waiting_events", "Undelivered events", labels=["service"])
        services = [service for service in topology.loaded() if _primary(service) == self._alias]
        if services:
            with connections[self._alias].cursor() as cursor:
                cursor.execute(" UNION ALL ".join(ASK.format(service=service) for service in services))
                for service, count, seconds in cursor.fetchall():
                    age.add_metric([service], float(seconds))
                    waiting.add_metric([service], count)
        yield from (age, waiting)


def _primary(service: str) -> str | None:
    """The alias of a service's primary, as known or read in one attempt; None during a cutover."""
    if not primaries.is_movable(service):
        return primaries.SHARED
    if service not in primaries.known():
        primaries.refresh(service, None, patience_seconds=0)
    primary = primaries.known().get(service)
    return None if primary is None else primary.alias

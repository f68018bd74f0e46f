"""The lengths of Celery's queues, read from the broker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily

from apps.core import topology

CLOCK = "clock"
TIMEOUT_SECONDS = 0.4


class QueueCollector:
    """The queues of this process's work. A queue is a list in Redis under its name (kombu's Redis transport)."""

    @cached_property
    def _client(self) -> Any:
        from redis import Redis  # a fifth of the time that a command takes to start, and few processes are scraped

        return Redis.from_url(
            settings.CELERY_BROKER_URL, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`celery_queue_length{queue}`. Raises: redis.RedisError."""
        names = [f"events.{service}" for service in topology.loaded()]
        if not settings.SERVICE:
            names.append(CLOCK)
        with self._client.pipeline(transaction=False) as commands:
            for name in names:
                commands.llen(name)
            lengths = commands.execute()
        family = GaugeMetricFamily("celery_queue_length", "Messages that wait in a queue", labels=["queue"])
        for name, length in zip(names, lengths, strict=True):
            family.add_metric([name], length)
        yield family

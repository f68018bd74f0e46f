"""Deletes old commands and old delivered events, by the database's clock."""

from __future__ import annotations

from django.conf import settings
from django.db import connections

from apps.core.database.primaries import database_of

# The newest event of an aggregate stays, because the next one's sequence continues from it.
DELIVERED = """
DELETE FROM {outbox} AS old WHERE delivered_at < clock_timestamp() - interval '30 days' AND EXISTS (
    SELECT 1 FROM {outbox} AS newer WHERE newer.aggregate_id = old.aggregate_id AND newer.consumer = old.consumer
      AND newer.sequence > old.sequence)
"""


def purge(service: str) -> tuple[int, int]:
    """Delete a service's old commands and old delivered events; returns the number of each."""
    with connections[database_of(service)].cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {service}_command WHERE created_at < clock_timestamp() - make_interval(secs => %s)",
            [settings.COMMAND_KEPT.total_seconds()],
        )
        commands = cursor.rowcount
        cursor.execute(DELIVERED.format(outbox=f"{service}_outbox"))
        return commands, cursor.rowcount

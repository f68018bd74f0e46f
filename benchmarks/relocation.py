"""Moving a service's data to a database of its own and back: how fast rows are carried and compared, how long nobody can write."""

from __future__ import annotations

from apps.core.postgres import connections
from apps.core.postgres.migrate_service import prepare
from apps.datasync.gateways import subscription
from apps.datasync.interface import NoTarget
from benchmarks import pauses, row_copy, rows
from benchmarks.figures import Figure
from benchmarks.rows import SERVICE


def measured() -> list[Figure]:
    """All figures of a move, or none where there is nowhere to move to. It empties the service's tables, in both databases."""
    try:
        subscription.require_target(SERVICE)
    except NoTarget:
        print(f"left out, {SERVICE} has no database of its own … ", end="", flush=True)
        return []
    # What is at home in the other database is somebody's.
    subscription.require_primary(SERVICE)
    prepare(SERVICE)
    try:
        return [*row_copy.rates(rows.fill()), *pauses.longest()]
    finally:
        for alias in (subscription.SHARED, SERVICE):
            with connections.control(alias) as connection:
                rows.empty(connection)

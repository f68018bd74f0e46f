"""Moving a service's data to a database of its own and back: how fast rows are carried and compared, how long nobody can write."""

from __future__ import annotations

from apps.core.postgres import connections
from apps.core.postgres.migrate_service import prepare
from apps.datasync.gateways import following
from apps.datasync.interface import NoTarget
from benchmarks import copying, pausing, rows
from benchmarks.figures import Figure
from benchmarks.rows import SERVICE


def measured() -> list[Figure]:
    """All figures of a move, or none where there is nowhere to move to. It empties the service's tables, in both databases."""
    try:
        following.require_target(SERVICE)
    except NoTarget:
        print(f"left out, {SERVICE} has no database of its own … ", end="", flush=True)
        return []
    # What is at home in the other database is somebody's.
    following.require_at_home(SERVICE)
    prepare(SERVICE)
    try:
        return [*copying.rates(rows.fill()), *pausing.longest()]
    finally:
        for alias in (following.SHARED, SERVICE):
            with connections.control(alias) as connection:
                rows.empty(connection)

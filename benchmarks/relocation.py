"""Relocation of a service's data and its way back: rates of copying and comparing rows, and the write pause."""

from __future__ import annotations

from apps.core.postgres import connections
from apps.core.postgres.migrate_service import prepare
from apps.datasync.gateways import subscription
from apps.datasync.interface import NoTarget
from benchmarks import pauses, row_copy, rows
from benchmarks.figures import Figure
from benchmarks.rows import SERVICE


def measured() -> list[Figure]:
    """All figures of a relocation, or none without a database of its own.

    Empties the service's tables in both databases.
    """
    try:
        subscription.require_target(SERVICE)
    except NoTarget:
        print(f"left out, {SERVICE} has no database of its own … ", end="", flush=True)
        return []
    # If the other database is the primary, its rows are real data.
    subscription.require_primary(SERVICE)
    prepare(SERVICE)
    try:
        return [*row_copy.rates(rows.fill()), *pauses.longest()]
    finally:
        for alias in (subscription.SHARED, SERVICE):
            with connections.control(alias) as connection:
                rows.empty(connection)

"""One leader at a time, by a session lock in the shared database: it ends with its holder and can be taken over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from apps.core.database.primaries import SHARED
from apps.core.postgres import advisory_locks, connections
from apps.core.postgres.advisory_locks import Space
from apps.core.postgres.connections import Connection

NAME = "extraction"
PATIENCE_SECONDS = 5


class AnotherLeads(Exception):
    """Another action is under way; the message names it."""


@contextlib.contextmanager
def leading(service: str, what: str, *, take_over: bool = False) -> Iterator[Connection]:
    """Be the only process that relocates data. `take_over` ends the session of this service's leader, and no other's.

    Raises: AnotherLeads.
    """
    with connections.control(SHARED, options="") as connection:
        prefix = f"{NAME} {service} "
        connection.execute("SELECT set_config('application_name', %s, false)", [f"{prefix}{what}"[:60]])
        deadline = time.monotonic() + (PATIENCE_SECONDS if take_over else 0)
        while not advisory_locks.acquire(connection, Space.LEADERSHIP, NAME):
            holders = advisory_locks.holders(connection, Space.LEADERSHIP, NAME)
            if take_over:
                for holder in holders:
                    if holder.application.startswith(prefix):
                        connection.execute("SELECT pg_terminate_backend(%s)", [holder.pid])
            if time.monotonic() > deadline:
                raise AnotherLeads(", ".join(holder.application for holder in holders) or "another action")
            time.sleep(0.02)
        try:
            yield connection
        finally:
            # Release at once, rather than when the server notices that the session has ended.
            advisory_locks.release(connection, Space.LEADERSHIP, NAME)


def leader() -> str:
    """The action under way, or an empty string."""
    with connections.control(SHARED) as connection:
        holders = advisory_locks.holders(connection, Space.LEADERSHIP, NAME)
        return ", ".join(holder.application for holder in holders)

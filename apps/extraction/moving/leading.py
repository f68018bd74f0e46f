"""One leader at a time: a lock of a session with the shared database, which ends with its holder, and can be taken from one who hangs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg

from apps.core.postgres import connections
from apps.core.postgres.connections import Connection
from apps.extraction.moving.states import SHARED

LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 1))"
HOLDERS = """
SELECT l.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(%s, 1)
"""
NAME = "extraction"
PATIENCE_SECONDS = 5


class AnotherLeads(Exception):
    """Another action is under way; the message says which."""


@contextlib.contextmanager
def leading(service: str, what: str, *, take_over: bool = False) -> Iterator[Connection]:
    """Be the only one who moves anything. `take_over` ends the session of whoever moves this service; another's is left alone.

    Raises: AnotherLeads.
    """
    with connections.control(SHARED, options="") as connection:
        ours = f"{NAME} {service} "
        connection.execute("SELECT set_config('application_name', %s, false)", [f"{ours}{what}"[:60]])
        deadline = time.monotonic() + (PATIENCE_SECONDS if take_over else 0)
        while not _locked(connection):
            holders = connection.execute(HOLDERS, [NAME]).fetchall()
            if take_over:
                for pid in [pid for pid, name in holders if str(name).startswith(ours)]:
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            if time.monotonic() > deadline:
                raise AnotherLeads(", ".join(str(name) for _, name in holders) or "another action")
            time.sleep(0.02)
        try:
            yield connection
        finally:
            # At once, and not when the server notices that the session has ended.
            with contextlib.suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 1))", [NAME])


def leader() -> str:
    """What is under way, or nothing."""
    with connections.control(SHARED) as connection:
        return ", ".join(str(name) for _, name in connection.execute(HOLDERS, [NAME]).fetchall())


def _locked(connection: Connection) -> bool:
    row = connection.execute(LOCK, [NAME]).fetchone()
    return bool(row and row[0])

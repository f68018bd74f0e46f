"""While a service changes homes, whoever looks at its changes rests: reading the log costs as much as the switch itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from apps.core.postgres.connections import Connection

KEY = "hashtextextended(%s, 2)"
PATIENCE_MS = 1000


@contextlib.contextmanager
def alone(shared: Connection, service: str) -> Iterator[None]:
    """Nobody looks for as long as the block lasts. A look under way is waited for, but not for long: it may be a stopped process's."""
    held = True
    try:
        with shared.transaction():
            shared.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            shared.execute(f"SELECT pg_advisory_lock({KEY})", [service])
    except psycopg.errors.LockNotAvailable:
        held = False
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(
                psycopg.OperationalError
            ):  # with a connection that is gone the lock is gone as well
                shared.execute(f"SELECT pg_advisory_unlock({KEY})", [service])


@contextlib.contextmanager
def resting(shared: Connection, service: str) -> Iterator[bool]:
    """Whether to look now; a switch that comes meanwhile waits for the end of the block."""
    row = shared.execute(f"SELECT pg_try_advisory_lock_shared({KEY})", [service]).fetchone()
    may_work = bool(row and row[0])
    try:
        yield may_work
    finally:
        with contextlib.suppress(psycopg.OperationalError):
            if may_work:
                shared.execute(f"SELECT pg_advisory_unlock_shared({KEY})", [service])

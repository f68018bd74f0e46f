"""PostgreSQL's advisory locks: every one that this platform takes, by its space and a name.

A session's lock ends with its session, however its process ends, so none is ever left behind; an explicit release only
frees it at once. Names are hashed with the space as seed (PostgreSQL manual, 9.28.10), so that equal names in two
spaces do not collide.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from apps.core.postgres.connections import Connection

PATIENCE_MS = 1000
KEY = "hashtextextended(%s, {space})"
HOLDERS = """
SELECT l.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = {key}
"""


class Space(enum.IntEnum):
    """The purpose of a lock. The numbers are seeds: two releases that run side by side must agree on them."""

    WORK = 0
    LEADERSHIP = 1
    SWITCH = 2

    @property
    def key(self) -> str:
        """The SQL expression of a lock's number, with one place for its name."""
        return KEY.format(space=self.value)


class Holder(NamedTuple):
    """A session that holds a lock: the process id of its backend, and its application name."""

    pid: int
    application: str


def acquire(connection: Connection, space: Space, name: str, *, shared: bool = False) -> bool:
    """Take a lock for this session without waiting; whether it was free."""
    suffix = "_shared" if shared else ""
    row = connection.execute(f"SELECT pg_try_advisory_lock{suffix}({space.key})", [name]).fetchone()
    return bool(row and row[0])


def release(connection: Connection, space: Space, name: str, *, shared: bool = False) -> None:
    """Release a lock at once; where the connection is gone, the lock is gone as well."""
    suffix = "_shared" if shared else ""
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute(f"SELECT pg_advisory_unlock{suffix}({space.key})", [name])


def acquire_until_commit(cursor: Any, space: Space, name: str) -> None:
    """Take a lock for the transaction of a Django or psycopg cursor, waiting as long as `lock_timeout` allows."""
    cursor.execute(f"SELECT pg_advisory_xact_lock({space.key})", [name])


def holders(connection: Connection, space: Space, name: str) -> list[Holder]:
    """The sessions that hold a lock."""
    rows = connection.execute(HOLDERS.format(key=space.key), [name]).fetchall()
    return [Holder(int(pid), str(application)) for pid, application in rows]


@contextlib.contextmanager
def during_switch(shared: Connection, service: str) -> Iterator[None]:
    """Keep readers of the service's changes out during a switch: reading the log costs as much as the switch itself.

    The block waits for a reader under way, for `PATIENCE_MS` at most, because the reader may belong to a stopped
    process.
    """
    held = True
    try:
        with shared.transaction():
            shared.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            shared.execute(f"SELECT pg_advisory_lock({Space.SWITCH.key})", [service])
    except psycopg.errors.LockNotAvailable:
        held = False
    try:
        yield
    finally:
        if held:
            release(shared, Space.SWITCH, service)


@contextlib.contextmanager
def outside_switches(shared: Connection, service: str) -> Iterator[bool]:
    """Whether the service's changes may be read now; a switch that starts meanwhile waits for the end of the block."""
    may_read = acquire(shared, Space.SWITCH, service, shared=True)
    try:
        yield may_read
    finally:
        if may_read:
            release(shared, Space.SWITCH, service, shared=True)

"""Takes snapshots of all databases at one instant without downtime: for some milliseconds no command begins.

Effects cross services by commands and events, and both arrive as commands: each begins with a row in its service's
table of commands. While all of these tables are locked in all primaries, no command is under way. Every committed
effect then has its cause committed too, in any database; snapshots taken meanwhile show one instant, and the locks are
released.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg import sql

from apps.core import topology
from apps.core.database import primaries
from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, fences
from apps.core.postgres.connections import Connection
from apps.core.postgres.leadership import AnotherLeads, leading
from apps.core.postgres.pg_dump import BackupFailed

LOCK_TIMEOUT_MS = 50
# A process that stops while it holds the locks loses them after this time, and has no instant.
IDLE_MS = 500
LONGEST_SECONDS = 0.15
PATIENCE_SECONDS = 120.0
VIEW = "-c idle_in_transaction_session_timeout=0 -c statement_timeout=0 -c transaction_timeout=0 -c lock_timeout=10000"
BARRIER = f"-c idle_in_transaction_session_timeout={IDLE_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname"


class View(NamedTuple):
    """A database at the instant: a transaction and its exported snapshot. Its tables cannot be altered meanwhile."""

    alias: str
    connection: Connection
    snapshot: str
    tables: tuple[str, ...]


class Instant(NamedTuple):
    """The instant in all databases, the primary of each service, and how long commands waited for it."""

    at: datetime
    primaries: dict[str, str]
    views: dict[str, View]
    pause_ms: float
    attempts: int


class _AttemptFailed(Exception):
    """This attempt gave no instant; its locks are released. `seconds` is how long commands waited for it."""

    def __init__(self, words: str, began: float) -> None:
        super().__init__(words)
        self.seconds = time.monotonic() - began


@contextlib.contextmanager
def hold_instant(patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Instant]:
    """Hold one instant for the length of the block. Raises: BackupFailed, NoWay, psycopg.OperationalError."""
    deadline = time.monotonic() + patience_seconds
    with contextlib.ExitStack() as open_views:
        yield _taken(open_views, deadline)


def find_primaries() -> dict[str, str]:
    """The writable primary of each service, by alias. Raises: BackupFailed where one has none or two; NoWay."""
    with contextlib.ExitStack() as stack:
        sessions = {alias: stack.enter_context(connections.control(alias)) for alias in (SHARED, *_own())}
        aliases = {}
        for service in topology.entries():
            if not primaries.is_movable(service):
                aliases[service] = SHARED
                continue
            writable = [alias for alias in (SHARED, service) if fences.is_writable(sessions[alias], service)]
            if len(writable) != 1:
                raise BackupFailed(
                    f"{service} has {len(writable)} writable primaries: see manage.py extraction {service}"
                )
            aliases[service] = writable[0]
        return aliases


def _own() -> list[str]:
    return [service for service in topology.entries() if primaries.is_movable(service)]


def _taken(open_views: contextlib.ExitStack, deadline: float) -> Instant:
    """Try until the instant is taken, or the deadline has passed."""
    attempts, pause = 0, 0.0
    problem: Exception = BackupFailed("no time was given")
    while True:
        try:
            # A relocation changes rights and drops tables; an instant in the middle of one would have no primary.
            with leading("backup", "takes an instant"), contextlib.ExitStack() as stack:
                primary_of = find_primaries()
                attempts += 1
                views, at, seconds = _attempt(stack, primary_of)
                open_views.push(stack.pop_all())
                return Instant(at, primary_of, views, round((pause + seconds) * 1000, 2), attempts)
        except _AttemptFailed as error:
            problem = error
            pause += error.seconds
        except (AnotherLeads, BackupFailed) as error:
            problem = error
        if time.monotonic() > deadline:
            raise BackupFailed(f"no instant could be taken in {attempts} attempts: {problem}") from problem
        time.sleep(random.uniform(0.1, 0.4))


def _attempt(stack: contextlib.ExitStack, primary_of: Mapping[str, str]) -> tuple[dict[str, View], datetime, float]:
    """Lock every table of commands, snapshot every database, and verify that the locks were held throughout."""
    aliases = sorted({SHARED, *primary_of.values()})
    viewing = {alias: stack.enter_context(connections.control(alias, options=VIEW)) for alias in aliases}
    tables = {alias: _begin(connection) for alias, connection in viewing.items()}
    with contextlib.ExitStack() as locks:
        locking = {alias: locks.enter_context(connections.control(alias, options=BARRIER)) for alias in aliases}
        began = time.monotonic()
        try:
            for alias, connection in locking.items():
                connection.execute(_barrier(service for service, primary in primary_of.items() if primary == alias))
                if time.monotonic() - began > LONGEST_SECONDS:
                    raise _AttemptFailed("the locks together took too long", began)
            row = locking[SHARED].execute("SELECT clock_timestamp()").fetchone()
            names = {alias: _snapshot(connection) for alias, connection in viewing.items()}
            if any(_tables(connection) != tables[alias] for alias, connection in viewing.items()):
                raise _AttemptFailed("a table was created or dropped", began)
            for connection in locking.values():
                connection.execute("SELECT 1")  # its session is alive, so its locks were held until here
                connection.execute("ROLLBACK")
        except psycopg.Error as error:
            raise _AttemptFailed(f"a table of commands was held, or the locks were lost: {error}", began) from error
        seconds = time.monotonic() - began
    views = {alias: View(alias, viewing[alias], names[alias], tables[alias]) for alias in aliases}
    return views, row[0] if row else datetime.min, seconds  # noqa: DTZ901 - there is a row


def _tables(connection: Connection) -> tuple[str, ...]:
    return tuple(str(name) for (name,) in connection.execute(TABLES).fetchall())


def _begin(connection: Connection) -> tuple[str, ...]:
    """Begin a transaction whose snapshot is taken later, once its tables can no longer be altered or dropped."""
    tables = _tables(connection)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    if tables:
        named = sql.SQL(", ").join(sql.Identifier("public", name) for name in tables)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(named))
    return tables


def _barrier(services: Iterator[str]) -> sql.SQL | sql.Composed:
    tables = [sql.Identifier("public", f"{service}_command") for service in services]
    if not tables:
        return sql.SQL("BEGIN")
    # The lock waits for the commands under way, and new commands wait for the lock; readers are not affected.
    return sql.SQL("BEGIN; LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(tables))


def _snapshot(connection: Connection) -> str:
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""

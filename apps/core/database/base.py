"""Pooled connections that a busy thread keeps, that are checked only when they have rested, and times read by the standard library.

A check is a round trip before every request; of a connection that answered a second ago it finds nothing. Should such a
connection be dead after all, commands and queries are repeated (`seam/server/commands.py`, `seam/server/dispatch.py`). Taking a connection from
the pool and giving it back costs a tenth of a small call, so a thread that is asked again within the second keeps its own; the
pool must be as large as the server has threads.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader
from psycopg_pool import ConnectionPool

from apps.core.database import primaries

RESTED_SECONDS = 1.0
_thread = threading.local()


class UtcLoader(TimestamptzLoader):
    """Django's own loader takes about 9 us a value, a quarter of a lean list; this one a tenth of that."""

    timezone = UTC  # Django asks its loader for it

    def load(self, data: Buffer) -> datetime:
        """A time in UTC, which is the session's zone."""
        text = bytes(data).decode()
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:  # years before 1 or after 9999, infinity: psycopg says what is wrong
            return super().load(data)


@cache
def _with_loader(template: AdaptersMap) -> AdaptersMap:
    adapters = AdaptersMap(template)
    adapters.register_loader("timestamptz", UtcLoader)
    return adapters


class RestedPool(ConnectionPool[Any]):
    """A pool that remembers when each connection last came back."""

    def putconn(self, conn: Connection[Any]) -> None:
        """Take a connection back."""
        conn.last_used = time.monotonic()  # type: ignore[attr-defined]  # ours, read by `check_rested`
        super().putconn(conn)


def check_rested(connection: Connection[Any]) -> None:
    """Ask the server only when the connection has rested. Raises: psycopg.OperationalError."""
    if time.monotonic() - getattr(connection, "last_used", 0.0) > RESTED_SECONDS:
        ConnectionPool.check_connection(connection)


def open_transactions() -> set[str]:
    """The aliases on which this thread is inside a transaction: asked before every seam call, so it is one look-up."""
    found: set[str] = _thread.__dict__.setdefault("open", set())
    return found


class _Kept:
    """The connection that a thread keeps. When the thread ends, so does this, and the pool gets it back."""

    def __init__(self) -> None:
        self.connection: Connection[Any] | None = None
        self.pool: RestedPool | None = None

    def __del__(self) -> None:
        if self.connection is not None and self.pool is not None:
            self.pool.putconn(self.connection)


class HomingCursor(CursorWrapper):
    """Sends a single statement that was refused here once more, to the database that is their primary now.

    Inside a transaction nothing is sent again: the seam repeats the whole of it.
    """

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        try:
            return super()._execute(sql, params, *ignored)  # type: ignore[misc]  # in Django, not in its stubs
        except DatabaseError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if self.db.in_atomic_block or (other := primaries.elsewhere(self.db.alias, state, str(sql))) is None:
                raise
            self.db, self.cursor = connections[other], connections[other].cursor().cursor
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]  # in Django, not in its stubs


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL through a pool of ours."""

    _taken = 0.0
    _asked = 0.0
    _in_atomic_block = False

    @property
    def in_atomic_block(self) -> bool:
        """Whether a transaction is open; Django's `Atomic` sets it."""
        return self._in_atomic_block

    @in_atomic_block.setter
    def in_atomic_block(self, is_open: bool) -> None:
        self._in_atomic_block = is_open
        if is_open:
            open_transactions().add(self.alias)
        else:
            open_transactions().discard(self.alias)

    def make_cursor(self, cursor: Any) -> HomingCursor:
        """A cursor that follows the tables of a service which have moved."""
        return HomingCursor(cursor, self)

    @property
    def pool(self) -> Any:
        """This alias's pool in this process, made on first use; None where the settings want none."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options:
            return None
        pools: dict[str, Any] = self._connection_pools  # type: ignore[attr-defined]  # Django's own registry
        if self.alias not in pools:
            pool = RestedPool(
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]  # in Django, not in its stubs
                check=check_rested,
                **options,
            )
            pools.setdefault(self.alias, pool)
        return pools[self.alias]

    def connect(self) -> None:
        """Take a connection from the pool; Django's own way sets up again what the pool has set up already (0.1 ms)."""
        pool = self.pool
        if pool is None or not self.settings_dict["AUTOCOMMIT"]:
            super().connect()
            return
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = self.errors_occurred = False
        self.savepoint_ids, self.atomic_blocks, self.run_on_commit = [], [], []
        self.close_at, self.health_check_enabled, self.health_check_done = 0.0, False, True
        with self.wrap_database_errors:
            pool.open()
            self.connection = pool.getconn()
        self.autocommit = True
        self._taken = self._asked = time.monotonic()
        kept: _Kept = _thread.__dict__.setdefault(f"kept_{self.alias}", _Kept())
        kept.connection, kept.pool = self.connection, pool

    def _close(self) -> None:
        _thread.__dict__.get(f"kept_{self.alias}", _Kept()).connection = None
        super()._close()  # type: ignore[misc]  # Django has it and its stubs have not

    def close_if_unusable_or_obsolete(self) -> None:
        """Give the connection back, unless this thread is likely to want it again at once and nobody else waits."""
        now = time.monotonic()
        rested, self._asked = now - self._asked > RESTED_SECONDS, now
        if rested or self.connection is None or self.errors_occurred or self.in_atomic_block or not self.autocommit:
            super().close_if_unusable_or_obsolete()
            return
        pool = self.pool
        # The pool's own list of those who wait: its statistics cost more than the rest of this together.
        if pool is None or now - self._taken > RESTED_SECONDS or pool._waiting:
            super().close_if_unusable_or_obsolete()

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with our loader."""
        parameters: dict[str, Any] = super().get_connection_params()
        if self.timezone is UTC:
            parameters["context"] = _with_loader(parameters["context"])
        return parameters

"""Pooled connections, kept by busy threads and checked only after a rest; timestamps parsed by the standard library.

A health check is a round trip before every request, and on a connection that answered a second ago it finds nothing. If
such a connection is dead after all, commands and queries are repeated (`seam/server/commands.py`,
`seam/server/dispatch.py`). Taking a connection from the pool and returning it costs a tenth of a small call, so a
thread that is asked again within a second keeps its connection; the pool must therefore be as large as the server has
threads.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.datetime import DatetimeDumper, TimestamptzLoader
from psycopg_pool import ConnectionPool

from apps.core.database import primaries

RESTED_SECONDS = 1.0
# For times and dates beyond Python's, or so near to its ends that another time zone passes them: one such row must not
# keep all others from being listed.
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_thread = threading.local()


class UtcLoader(TimestamptzLoader):
    """Loads timestamps in a tenth of the time of Django's loader (about 9 us a value, a quarter of a small list)."""

    timezone = UTC  # Django asks its loader for it

    def load(self, data: Buffer) -> datetime:
        """The timestamp in UTC, the session's time zone."""
        text = bytes(data).decode()
        try:
            return min(max(datetime.fromisoformat(text).astimezone(UTC), FIRST), LAST)
        except ValueError:  # years before 1 or after 9999, and infinity, which Python's time does not have
            return FIRST if _is_before_all(text) else LAST


class UtcDumper(DatetimeDumper):
    """Dumps timestamps; those at the ends as infinity, so that the cursor of a page finds the row that it came from."""

    def dump(self, obj: datetime) -> Buffer | None:
        """The text for PostgreSQL of a timestamp with a zone."""
        if FIRST < obj < LAST:
            return super().dump(obj)
        return b"-infinity" if obj <= FIRST else b"infinity"


class DayLoader(Loader):
    """Loads dates, those too that Python's date does not have."""

    def load(self, data: Buffer) -> date:
        """The date."""
        text = bytes(data).decode()
        try:
            return date.fromisoformat(text)
        except ValueError:
            return FIRST.date() if _is_before_all(text) else LAST.date()


def _is_before_all(text: str) -> bool:
    return text.startswith("-") or text.endswith("BC")


@cache
def _with_loader(template: AdaptersMap) -> AdaptersMap:
    adapters = AdaptersMap(template)
    adapters.register_loader("timestamptz", UtcLoader)
    adapters.register_dumper(datetime, UtcDumper)
    adapters.register_loader("date", DayLoader)
    return adapters


class RestedPool(ConnectionPool[Any]):
    """A pool that records when each connection was last returned."""

    def putconn(self, conn: Connection[Any]) -> None:
        """Return a connection to the pool."""
        conn.last_used = time.monotonic()  # type: ignore[attr-defined]  # ours, read by `check_rested`
        super().putconn(conn)


def check_rested(connection: Connection[Any]) -> None:
    """Check a connection only when it has rested for `RESTED_SECONDS`. Raises: psycopg.OperationalError."""
    if time.monotonic() - getattr(connection, "last_used", 0.0) > RESTED_SECONDS:
        ConnectionPool.check_connection(connection)


def open_transactions() -> set[str]:
    """The aliases on which this thread has a transaction open: read before every seam call, so it is one look-up."""
    aliases: set[str] = _thread.__dict__.setdefault("open", set())
    return aliases


class _ThreadConnection:
    """The connection that a thread keeps; when the thread ends, the connection returns to the pool."""

    def __init__(self) -> None:
        self.connection: Connection[Any] | None = None
        self.pool: RestedPool | None = None

    def __del__(self) -> None:
        if self.connection is not None and self.pool is not None:
            self.pool.putconn(self.connection)


class RedirectingCursor(CursorWrapper):
    """Sends a single statement that its database refused once more, to the present primary of its tables.

    Inside a transaction nothing is sent again: the seam repeats the transaction as a whole.
    """

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        try:
            return super()._execute(sql, params, *ignored)  # type: ignore[misc]  # in Django, not in its stubs
        except DatabaseError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if self.db.in_atomic_block or (other := primaries.redirect(self.db.alias, state, str(sql))) is None:
                raise
            self.db, self.cursor = connections[other], connections[other].cursor().cursor
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]  # in Django, not in its stubs


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL through a `RestedPool`."""

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

    def make_cursor(self, cursor: Any) -> RedirectingCursor:
        """A cursor that follows relocated tables to their new primary."""
        return RedirectingCursor(cursor, self)

    @property
    def pool(self) -> Any:
        """This alias's pool in this process, created on first use; None where the settings configure none."""
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
        """Take a connection from the pool; Django's own method repeats the set-up that the pool has done (0.1 ms)."""
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
        slot: _ThreadConnection = _thread.__dict__.setdefault(f"connection_{self.alias}", _ThreadConnection())
        slot.connection, slot.pool = self.connection, pool

    def _close(self) -> None:
        _thread.__dict__.get(f"connection_{self.alias}", _ThreadConnection()).connection = None
        super()._close()  # type: ignore[misc]  # Django has it and its stubs have not

    def close_if_unusable_or_obsolete(self) -> None:
        """Return the connection, unless this thread is likely to need it again at once and no other thread waits."""
        now = time.monotonic()
        rested, self._asked = now - self._asked > RESTED_SECONDS, now
        if rested or self.connection is None or self.errors_occurred or self.in_atomic_block or not self.autocommit:
            super().close_if_unusable_or_obsolete()
            return
        pool = self.pool
        # The pool's own list of waiting threads: its statistics cost more than the rest of this method together.
        if pool is None or now - self._taken > RESTED_SECONDS or pool._waiting:
            super().close_if_unusable_or_obsolete()

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters, with `UtcLoader`."""
        parameters: dict[str, Any] = super().get_connection_params()
        if self.timezone is UTC:
            parameters["context"] = _with_loader(parameters["context"])
        return parameters

"""Pooled connections that are checked only when they have rested, and times read by the standard library.

A check is a round trip before every request; of a connection that answered a second ago it finds nothing. Should such a
connection be dead after all, commands and queries are repeated (`seam/commands.py`, `seam/bindings.py`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader
from psycopg_pool import ConnectionPool

RESTED_SECONDS = 1.0


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


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL through a pool of ours."""

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
                configure=self._configure_connection,  # type: ignore[attr-defined]
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

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with our loader."""
        parameters: dict[str, Any] = super().get_connection_params()
        if self.timezone is UTC:
            parameters["context"] = _with_loader(parameters["context"])
        return parameters

"""PostgreSQL's logical replication in the few operations needed here: publications, slots, subscriptions, heartbeats.

Every function takes a connection of `connections` and one name, which publication, slot and subscription share. Nothing
here decides when: `datasync` uses it to follow tables, `extraction` to keep the way back open.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from apps.core import topology
from apps.core.postgres.connections import Connection

MARKERS = "extraction"
BEAT = "beat"
OF_ONE_TABLE = "lc_sync_"  # how names of publications of a single table begin
QUIET = {"log_statement": "none", "log_min_error_statement": "panic", "log_min_duration_statement": "-1"}
PATIENCE_SECONDS = 15
POLL_SECONDS = 0.001


class Slot(NamedTuple):
    """A slot's state, and how much of the log it makes its server keep."""

    active: bool
    lag_bytes: int
    kept_bytes: int
    is_lost: bool


class TooSlow(Exception):
    """A slot was not released, or a marker did not arrive, in the time allowed."""


def tables_of(connection: Connection, service: str) -> tuple[str, ...]:
    """The names of a service's tables in a database, its commands first."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ %s "
        "ORDER BY relname <> %s, relname",
        [pattern_of(service), f"{service}_command"],
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def pattern_of(service: str) -> str:
    """A regular expression over the names of a service's tables."""
    return "^(" + "|".join(topology.table_names(service)) + ")"


def publish(
    connection: Connection,
    name: str,
    tables: Sequence[str],
    *,
    marker: str = "",
    what: str = "insert, update, delete, truncate",
) -> None:
    """Publish tables, together with this publication's rows of the marker's table.

    Several publications may lead into one database: a row that came by two would collide there.
    """
    named: list[sql.Composable] = [sql.Identifier("public", table) for table in tables]
    if marker:
        if name.startswith(OF_ONE_TABLE):
            own = sql.SQL("starts_with(name, {})").format(f"{name}@")
        else:
            own = sql.SQL("NOT starts_with(name, {})").format(OF_ONE_TABLE)
        named.append(sql.SQL("{} WHERE ({})").format(sql.Identifier(MARKERS, marker), own))
    unpublish(connection, name)
    connection.execute(
        sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish = {})").format(
            sql.Identifier(name), sql.SQL(", ").join(named), sql.Literal(what)
        )
    )


def published(connection: Connection, name: str) -> set[str]:
    """The service's tables in a publication."""
    rows = connection.execute(
        "SELECT tablename FROM pg_publication_tables WHERE pubname = %s AND schemaname = 'public'", [name]
    ).fetchall()
    return {str(table) for (table,) in rows}


def unpublish(connection: Connection, name: str) -> None:
    """Drop a publication, if it exists."""
    connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))


@contextlib.contextmanager
def temporary_slot(replication: Connection, name: str) -> Iterator[str]:
    """Create a slot that ends with its connection; yields the name of the snapshot at which the slot begins."""
    command = f"CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')"
    result = replication.pgconn.exec_(command.encode())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
    yield (result.get_value(0, 2) or b"").decode()


def keep_slot(connection: Connection, temporary: str, name: str) -> None:
    """Create a permanent slot at the position of a temporary one; without `temporary`, at the present position."""
    if temporary:
        connection.execute("SELECT pg_copy_logical_replication_slot(%s, %s, false)", [temporary, name])
    else:
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])


def drop_slot(connection: Connection, name: str) -> bool:
    """Drop a slot, ending the session that reads it; whether the slot existed. Raises: TooSlow."""
    existed = False
    deadline = time.monotonic() + PATIENCE_SECONDS
    while row := connection.execute(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", [name]
    ).fetchone():
        existed = True
        (reader,) = row
        if reader is not None:
            connection.execute("SELECT pg_terminate_backend(%s)", [reader])
        with contextlib.suppress(psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
            connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
        if time.monotonic() > deadline:
            raise TooSlow(f"slot {name} still has a reader")
        time.sleep(0.01)
    return existed


def slot(connection: Connection, name: str) -> Slot | None:
    """A slot of this server, or None."""
    query = """
        SELECT active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint, 0) AS lag_bytes,
               coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, 0) AS kept_bytes,
               coalesce(wal_status = 'lost', false) AS is_lost
        FROM pg_replication_slots WHERE slot_name = %s
    """
    with connection.cursor(row_factory=class_row(Slot)) as cursor:
        return cursor.execute(query, [name]).fetchone()


def subscribe(connection: Connection, name: str, publisher: str) -> None:
    """Follow a publication through its slot of the same name. Changes applied here are not sent back (`origin = none`).

    Commits are synchronous: changes reported as applied survive a crash.
    """
    with connection.transaction():
        # The statement contains a password, so it must not reach a log, least of all when it fails.
        for parameter, value in QUIET.items():
            if has_privilege(connection, parameter):
                connection.execute(sql.SQL("SET LOCAL {} = {}").format(sql.SQL(parameter), sql.Literal(value)))
        _subscribe(connection, name, publisher)


def has_privilege(connection: Connection, parameter: str) -> bool:
    """Whether this role may set a parameter that otherwise only a superuser may set."""
    row = connection.execute("SELECT has_parameter_privilege(%s, 'SET')", [parameter]).fetchone()
    return bool(row and row[0])


def _subscribe(connection: Connection, name: str, publisher: str) -> None:
    connection.execute(
        sql.SQL(
            "CREATE SUBSCRIPTION {name} CONNECTION {publisher} PUBLICATION {name} WITH (create_slot = false, slot_name = {slot},"
            " copy_data = false, origin = none, synchronous_commit = on, streaming = parallel)"
        ).format(name=sql.Identifier(name), slot=sql.Literal(name), publisher=sql.Literal(publisher))
    )


def unsubscribe(connection: Connection, name: str) -> bool:
    """Drop a subscription, even if the publisher is down; its slot is dropped separately. Whether it existed."""
    if not is_subscribed(connection, name):
        return False
    named = sql.Identifier(name)
    with contextlib.suppress(psycopg.errors.UndefinedObject):
        connection.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(named))
        connection.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(named))
        connection.execute(sql.SQL("DROP SUBSCRIPTION IF EXISTS {}").format(named))
    return True


def is_subscribed(connection: Connection, name: str) -> bool:
    """Whether this database has the subscription, running or not."""
    return bool(
        connection.execute(
            "SELECT 1 FROM pg_subscription WHERE subname = %s"
            " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [name],
        ).fetchone()
    )


def pause(connection: Connection, name: str, *, paused: bool) -> None:
    """Pause a subscription, or resume it."""
    word = sql.SQL("DISABLE" if paused else "ENABLE")
    connection.execute(sql.SQL("ALTER SUBSCRIPTION {} {}").format(sql.Identifier(name), word))


def marker_of(service: str) -> str:
    """The table replicated with a service's tables, whose rows show how far the subscriber is."""
    return f"marker_{service}"


def make_marker(connection: Connection, service: str) -> None:
    """Create the marker's table, if it is missing, and forget old markers."""
    table = _marker_table(service)
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, value bigint NOT NULL, at timestamptz NOT NULL)"
        ).format(table)
    )
    connection.execute(sql.SQL("DELETE FROM {} WHERE at < clock_timestamp() - interval '1 day'").format(table))


def forget_markers(connection: Connection) -> None:
    """Delete the markers of every service: they say nothing of rows that are restored."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, 'marker_')"
    for (table,) in connection.execute(query, [MARKERS]).fetchall():
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(MARKERS, str(table))))


def marking(service: str, marker: str) -> sql.Composed:
    """The statement that writes a marker, whose name is never used again.

    A row is written once: one that only one side has, because nothing followed when it was written, would meet an
    update that never arrives, or an insert that ends the subscriber's worker. `value` is of an earlier version.
    """
    return sql.SQL("INSERT INTO {} (name, value, at) VALUES ({}, 0, clock_timestamp())").format(
        _marker_table(service), sql.Literal(marker)
    )


def is_marked(connection: Connection, service: str, marker: str) -> bool:
    """Whether a marker has arrived in this database, and with it all earlier commits."""
    query = sql.SQL("SELECT 1 FROM {} WHERE name = %s").format(_marker_table(service))
    return connection.execute(query, [marker]).fetchone() is not None


def await_marker(connection: Connection, service: str, marker: str, *, seconds: float) -> float:
    """Wait until a marker has arrived; returns the seconds waited. Raises: TooSlow."""
    started = time.monotonic()
    while not is_marked(connection, service, marker):
        if time.monotonic() - started > seconds:
            raise TooSlow(f"the marker {marker} of {service} has not arrived in {seconds:g} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def beat(writer: Connection, reader: Connection, service: str, *, seconds: float, name: str = BEAT) -> float:
    """Write a heartbeat on one side and wait for it on the other: all earlier commits have then arrived. Seconds
    waited.

    Raises: TooSlow.
    """
    marker = f"{name}@{uuid4().hex}"
    writer.execute(marking(service, marker))
    try:
        return await_marker(reader, service, marker, seconds=seconds)
    finally:
        writer.execute(sql.SQL("DELETE FROM {} WHERE name = {}").format(_marker_table(service), sql.Literal(marker)))


def _marker_table(service: str) -> sql.Identifier:
    return sql.Identifier(MARKERS, marker_of(service))

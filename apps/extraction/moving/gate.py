"""Closing one database to the platform and opening the other: the two commits of a cutover, and the way out between them.

Each is one transaction that first locks this database's fence and finds its own epoch there; whoever was stopped and wakes up after
somebody else took over finds another one and does nothing (DESIGN section 6).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from psycopg import sql

from apps.core.database import fences, replication
from apps.core.database.places import Connection

LOCK_TIMEOUT_MS = 50
IDLE_MS = 200
MARKER = "epoch"
SEQUENCES = """
SELECT s.relname, p.last_value, p.start_value FROM pg_class s
JOIN pg_sequences p ON p.schemaname = 'public' AND p.sequencename = s.relname
WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace AND s.relname ~ %s
"""
GRANTEES = """
SELECT DISTINCT coalesce(r.rolname, 'public') FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S') AND c.relname ~ %s
  AND a.grantee <> c.relowner AND coalesce(r.rolname, '') <> ALL(%s)
"""
# Who keeps what they may: they copy and lead, and serve nobody.
KEEPERS = ["lc_replicator", "lc_control"]


class Overtaken(Exception):
    """Somebody else leads this move now: the fence has another epoch."""


class Gate(NamedTuple):
    """The statements for one database, written down before anybody has to wait for them."""

    connection: Connection
    service: str
    tables: tuple[str, ...]
    sequences: tuple[str, ...]
    lock: sql.Composed
    take: tuple[sql.Composed, ...]
    give: tuple[sql.Composed, ...]


def gate(connection: Connection, service: str) -> Gate:
    """Everything that is needed to close and open a database."""
    tables = replication.tables_of(connection, service)
    pattern = replication.pattern_of(service)
    sequences = tuple(str(row[0]) for row in connection.execute(SEQUENCES, [pattern]).fetchall())
    grantees = [str(name) for (name,) in connection.execute(GRANTEES, [pattern, KEEPERS]).fetchall()]
    roles = _existing(connection, settings.DATABASE_APP_ROLES)
    named, counted = _list(tables), _list(sequences)
    take, give = [], []
    for role in sorted({*grantees, *roles}):
        who = sql.SQL("PUBLIC") if role == "public" else sql.Identifier(role)
        take.append(sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(named, who))
        if sequences:
            take.append(sql.SQL("REVOKE ALL ON SEQUENCE {} FROM {}").format(counted, who))
    for role in roles:
        give.append(
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {} TO {}").format(named, sql.Identifier(role))
        )
        if sequences:
            give.append(sql.SQL("GRANT USAGE, SELECT ON SEQUENCE {} TO {}").format(counted, sql.Identifier(role)))
    lock = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(named)
    return Gate(connection, service, tables, sequences, lock, tuple(take), tuple(give))


def close(door: Gate, epoch: int) -> dict[str, tuple[int, bool]]:
    """Let nobody in any more, once everybody who is writing has finished; the sequences' values at that moment.

    Only the home of a service that is moving is closed: whoever comes late finds that it is not, and does nothing. Readers with an
    open snapshot finish their statement. Raises: psycopg.errors.LockNotAvailable after 50 ms, Overtaken.
    """
    with _as_leader(door, epoch) as connection:
        row = connection.execute("SELECT moving FROM extraction.fence WHERE service = %s", [door.service]).fetchone()
        if not (row and row[0]) or not fences.is_writable(connection, door.service):
            raise Overtaken(f"{door.service}: this database is not the home of a service that is moving")
        closed = sql.SQL(
            "UPDATE extraction.fence SET closed = {}, closed_at = clock_timestamp() WHERE service = {}"
        ).format(sql.Literal(epoch), sql.Literal(door.service))
        marker = replication.marking(door.service, MARKER, epoch)
        timeout = sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS))
        # In one journey: each costs people as much as the work itself.
        connection.execute(sql.SQL("; ").join([timeout, door.lock, *door.take, closed, marker]))
        return sequences_of(door)


def open_up(
    door: Gate, epoch: int, sequences: dict[str, tuple[int, bool]], *, closed: int, has_to_be_filled: bool = False
) -> None:
    """Let everybody in. `closed` is the epoch of the closing whose last write has to be here.

    `has_to_be_filled` for a service's own database: a synchronisation has filled it, and nobody has emptied it since.

    Raises: Overtaken; replication.TooSlow when it is not here.
    """
    with _as_leader(door, epoch) as connection:
        if closed and (replication.marked(connection, door.service, MARKER) or 0) < closed:
            raise replication.TooSlow(f"the last write before epoch {closed} has not arrived")
        row = connection.execute("SELECT filled FROM extraction.fence WHERE service = %s", [door.service]).fetchone()
        if has_to_be_filled and not (row and row[0]):
            raise replication.TooSlow(f"the database of {door.service} is not filled by any synchronisation")
        opened = sql.SQL("UPDATE extraction.fence SET closed = 0, closed_at = NULL WHERE service = {}").format(
            sql.Literal(door.service)
        )
        numbers = [_set(name, value, is_called) for name, (value, is_called) in sequences.items()]
        connection.execute(sql.SQL("; ").join([*numbers, *door.give, opened]))


def _set(name: str, value: int, is_called: bool) -> sql.Composed:
    """A sequence goes on where the other one stopped, and never back."""
    return sql.SQL(
        "SELECT setval({whole}::regclass, greatest({value}, (SELECT coalesce(last_value, 1) FROM pg_sequences"
        " WHERE schemaname = 'public' AND sequencename = {name})), {is_called})"
    ).format(
        whole=sql.Literal(f"public.{name}"),
        value=sql.Literal(value),
        name=sql.Literal(name),
        is_called=sql.Literal(is_called),
    )


def raise_unless_open(connection: Connection, service: str, epoch: int) -> bool:
    """Shut out whoever has an older epoch, in one transaction with the look whether they were quicker. Whether it is open."""
    with connection.transaction():
        fences.raise_epoch(connection, service, epoch)
        return fences.is_writable(connection, service)


def sequences_of(door: Gate) -> dict[str, tuple[int, bool]]:
    """The last values of a service's sequences, and whether they were given to anybody."""
    rows = door.connection.execute(SEQUENCES, [replication.pattern_of(door.service)]).fetchall()
    return {str(name): (int(start if last is None else last), last is not None) for name, last, start in rows}


@contextlib.contextmanager
def _as_leader(door: Gate, epoch: int) -> Iterator[Connection]:
    """A transaction that begins by finding its epoch in the fence, and holds it. Raises: Overtaken."""
    with door.connection.transaction():
        # Should this process be stopped here, the server ends the transaction and lets people go on.
        door.connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}")
        row = door.connection.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [door.service]
        ).fetchone()
        if row is None or int(row[0]) != epoch:
            raise Overtaken(f"{door.service}: epoch {epoch} was overtaken by {row[0] if row else 'nobody known'}")
        yield door.connection


def _existing(connection: Connection, roles: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(roles)]).fetchall()
    return [str(name) for (name,) in rows]


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("public", name) for name in names)

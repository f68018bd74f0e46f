"""Closing one database to the platform and opening the other: the two commits of a cutover, and the way out between them.

Each is one transaction that first locks this database's fence and finds its own epoch there; a leader that was stopped and wakes up
after another took over finds another epoch and does nothing (invariant 7, docs/invariants.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from psycopg import sql

from apps.core.postgres import fences, replication
from apps.core.postgres.connections import Connection
from apps.extraction.state.epochs import StaleEpoch

LOCK_TIMEOUT_MS = 50
IDLE_MS = 200
MARKER = "epoch"
SEQUENCES = (
    "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace AND relname ~ %s"
)
GRANTEES = """
SELECT DISTINCT coalesce(r.rolname, 'public') FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S') AND c.relname ~ %s
  AND a.grantee <> c.relowner AND coalesce(r.rolname, '') <> ALL(%s)
"""
# Who keeps what they may: they copy and lead, and serve nobody.
KEEPERS = ["lc_replicator", "lc_control"]
# Sequences by name: the last value, and whether it was given to anybody.
Counts = dict[str, tuple[int, bool]]


class Gate(NamedTuple):
    """The statements for one database, written down before anybody has to wait for them; and where its sequences are now."""

    connection: Connection
    service: str
    lock: sql.Composed
    take: tuple[sql.Composed, ...]
    give: tuple[sql.Composed, ...]
    counting: sql.Composed | None
    counted: Counts


def gate(connection: Connection, service: str) -> Gate:
    """Everything that is needed to close and open a database."""
    tables = replication.tables_of(connection, service)
    pattern = replication.pattern_of(service)
    sequences = [str(name) for (name,) in connection.execute(SEQUENCES, [pattern]).fetchall()]
    grantees = [str(name) for (name,) in connection.execute(GRANTEES, [pattern, KEEPERS]).fetchall()]
    roles = _existing(connection, settings.DATABASE_APP_ROLES)
    # All roles in one statement: an object's rights are written once and not once for each.
    everybody = _roles(sorted({*grantees, *roles}))
    named, numbered = _list(tables), _list(sequences)
    take = [sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(named, everybody)]
    give = [sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {} TO {}").format(named, _roles(roles))]
    counting = None
    if sequences:
        take.append(sql.SQL("REVOKE ALL ON SEQUENCE {} FROM {}").format(numbered, everybody))
        give.append(sql.SQL("GRANT USAGE, SELECT ON SEQUENCE {} TO {}").format(numbered, _roles(roles)))
        counting = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(
                sql.Literal(name), sql.Identifier("public", name)
            )
            for name in sequences
        )
    lock = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(named)
    door = Gate(connection, service, lock, tuple(take), tuple(give), counting, {})
    return door._replace(counted=sequences_of(door))


def close(door: Gate, epoch: int) -> Counts:
    """Let nobody in any more, once everybody who is writing has finished; the sequences' values at that moment.

    Only the primary of a service that is moving is closed: whoever comes late finds that it is not, and does nothing. Readers with an
    open snapshot finish their statement. Raises: psycopg.errors.LockNotAvailable after 50 ms, StaleEpoch.
    """
    with _as_leader(door, epoch) as connection:
        row = connection.execute("SELECT moving FROM extraction.fence WHERE service = %s", [door.service]).fetchone()
        if not (row and row[0]) or not fences.is_writable(connection, door.service):
            raise StaleEpoch(f"{door.service}: this database is not the primary of a service that is moving")
        closed = sql.SQL(
            "UPDATE extraction.fence SET closed = {}, closed_at = clock_timestamp() WHERE service = {}"
        ).format(sql.Literal(epoch), sql.Literal(door.service))
        marker = replication.marking(door.service, MARKER, epoch)
        timeout = sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS))
        # In one journey: each costs people as much as the work itself.
        connection.execute(sql.SQL("; ").join([timeout, door.lock, *door.take, closed, marker]))
        return sequences_of(door)


def open_up(door: Gate, epoch: int, sequences: Counts, *, closed: int, has_to_be_filled: bool = False) -> None:
    """Let everybody in. `closed` is the epoch of the closing whose last write has to be here.

    `has_to_be_filled` for a service's own database: a synchronisation has filled it, and nobody has emptied it since.

    Raises: StaleEpoch; replication.TooSlow when it is not here.
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
        # Only those that have gone on over there: nobody has taken a number here since it was looked at.
        numbers = [
            sql.SQL("SELECT setval({}::regclass, {}, {})").format(
                sql.Literal(f"public.{name}"), sql.Literal(value), sql.Literal(is_called)
            )
            for name, (value, is_called) in sequences.items()
            if (value, is_called) > door.counted.get(name, (0, False))
        ]
        connection.execute(sql.SQL("; ").join([*numbers, *door.give, opened]))


def raise_unless_open(connection: Connection, service: str, epoch: int) -> bool:
    """Shut out whoever has an older epoch, in one transaction with the look whether they were quicker. Whether it is open."""
    with connection.transaction():
        fences.raise_epoch(connection, service, epoch)
        return fences.is_writable(connection, service)


def sequences_of(door: Gate) -> Counts:
    """Where a service's sequences are."""
    if door.counting is None:
        return {}
    rows = door.connection.execute(door.counting).fetchall()
    return {str(name): (int(value), bool(is_called)) for name, value, is_called in rows}


@contextlib.contextmanager
def _as_leader(door: Gate, epoch: int) -> Iterator[Connection]:
    """A transaction that begins by finding its epoch in the fence, and holds it. Raises: StaleEpoch."""
    with door.connection.transaction():
        # Should this process be stopped here, the server ends the transaction and lets people go on.
        door.connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}")
        row = door.connection.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [door.service]
        ).fetchone()
        if row is None or int(row[0]) != epoch:
            raise StaleEpoch(f"{door.service}: epoch {epoch} was overtaken by {row[0] if row else 'nobody known'}")
        yield door.connection


def _existing(connection: Connection, roles: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(roles)]).fetchall()
    return [str(name) for (name,) in rows]


def _roles(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("PUBLIC") if name == "public" else sql.Identifier(name) for name in names)


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("public", name) for name in names)

"""Closes one database to the platform and opens the other: the two commits of a cutover, and the way out in between.

Each commit is one transaction that first locks the database's fence and checks that it holds the leader's epoch. A
leader that was stopped and resumes after another took over finds another epoch there and changes nothing (invariant 7,
docs/invariants.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from psycopg import sql

from apps.core.postgres import database_roles, fences, replication
from apps.core.postgres.connections import Connection
from apps.extraction.state.epochs import StaleEpoch

LOCK_TIMEOUT_MS = 50
IDLE_MS = 200
SEQUENCES = (
    "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace AND relname ~ %s"
)
GRANTEES = """
SELECT DISTINCT coalesce(r.rolname, 'public') FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S') AND c.relname ~ %s
  AND a.grantee <> c.relowner AND coalesce(r.rolname, '') <> ALL(%s)
"""
# Roles that keep their rights: they copy and lead, and serve no calls.
KEEPERS = ["lc_replicator", "lc_control"]
# Sequences by name: the last value, and whether it was handed out (`is_called`).
Counts = dict[str, tuple[int, bool]]


class Gate(NamedTuple):
    """The statements that close and open one database, composed before any write waits, and its sequences' values."""

    connection: Connection
    service: str
    lock: sql.Composed
    take: tuple[sql.Composed, ...]
    give: tuple[sql.Composed, ...]
    counting: sql.Composed | None
    counted: Counts


def gate(connection: Connection, service: str) -> Gate:
    """Compose the statements that close and open a database, and read its sequences."""
    tables = replication.tables_of(connection, service)
    pattern = replication.pattern_of(service)
    sequences = [str(name) for (name,) in connection.execute(SEQUENCES, [pattern]).fetchall()]
    grantees = [str(name) for (name,) in connection.execute(GRANTEES, [pattern, KEEPERS]).fetchall()]
    served_by = _existing(connection, database_roles.of(service))
    # All roles in one statement: an object's rights are written once and not once for each role.
    every_role = _roles(sorted({*grantees, *served_by}))
    table_list, sequence_list = _list(tables), _list(sequences)
    take = [sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(table_list, every_role)]
    give = [sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {} TO {}").format(table_list, _roles(served_by))]
    counting = None
    if sequences:
        take.append(sql.SQL("REVOKE ALL ON SEQUENCE {} FROM {}").format(sequence_list, every_role))
        give.append(sql.SQL("GRANT USAGE, SELECT ON SEQUENCE {} TO {}").format(sequence_list, _roles(served_by)))
        counting = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(
                sql.Literal(name), sql.Identifier("public", name)
            )
            for name in sequences
        )
    lock = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table_list)
    gate = Gate(connection, service, lock, tuple(take), tuple(give), counting, {})
    return gate._replace(counted=sequences_of(gate))


def closing_marker(epoch: int) -> str:
    """The name of the marker that is a closed database's last write; each epoch closes once."""
    return f"epoch@{epoch}"


def close(gate: Gate, epoch: int) -> Counts:
    """Close the database to the platform, once running writes have ended; returns the sequences' values at that moment.

    Only the primary of a service that is being relocated is closed: a late leader finds that it is not the primary and
    changes nothing. Readers with an open snapshot finish their statement.

    Raises: psycopg.errors.LockNotAvailable after 50 ms, StaleEpoch.
    """
    with _as_leader(gate, epoch) as connection:
        row = connection.execute("SELECT moving FROM extraction.fence WHERE service = %s", [gate.service]).fetchone()
        if not (row and row[0]) or not fences.is_writable(connection, gate.service):
            raise StaleEpoch(f"{gate.service}: this database is not the primary of a service that is moving")
        closed = sql.SQL(
            "UPDATE extraction.fence SET closed = {}, closed_at = clock_timestamp() WHERE service = {}"
        ).format(sql.Literal(epoch), sql.Literal(gate.service))
        marker = replication.marking(gate.service, closing_marker(epoch))
        timeout = sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS))
        # In one round trip: each costs the waiting writes as much as the work itself.
        connection.execute(sql.SQL("; ").join([timeout, gate.lock, *gate.take, closed, marker]))
        return sequences_of(gate)


def open_up(gate: Gate, epoch: int, sequences: Counts, *, closed: int, has_to_be_filled: bool = False) -> None:
    """Open the database to the platform. `closed` is the epoch of the closing whose last write has to have arrived.

    `has_to_be_filled`, for a service's own database: a synchronisation has filled it, and it was not emptied since.

    Raises: StaleEpoch; replication.TooSlow when the last write has not arrived, or the database is not filled.
    """
    with _as_leader(gate, epoch) as connection:
        if closed and not replication.is_marked(connection, gate.service, closing_marker(closed)):
            raise replication.TooSlow(f"the last write before epoch {closed} has not arrived")
        row = connection.execute("SELECT filled FROM extraction.fence WHERE service = %s", [gate.service]).fetchone()
        if has_to_be_filled and not (row and row[0]):
            raise replication.TooSlow(f"the database of {gate.service} is not filled by any synchronisation")
        opened = sql.SQL("UPDATE extraction.fence SET closed = 0, closed_at = NULL WHERE service = {}").format(
            sql.Literal(gate.service)
        )
        # Only sequences that have advanced in the other database: none was used here since the gate read them.
        numbers = [
            sql.SQL("SELECT setval({}::regclass, {}, {})").format(
                sql.Literal(f"public.{name}"), sql.Literal(value), sql.Literal(is_called)
            )
            for name, (value, is_called) in sequences.items()
            if (value, is_called) > gate.counted.get(name, (0, False))
        ]
        connection.execute(sql.SQL("; ").join([*numbers, *gate.give, opened]))


def raise_epoch(connection: Connection, service: str, epoch: int) -> bool:
    """Raise the epoch, so that older leaders are refused; returns whether one of them had opened the database before.

    Both happen in one transaction.
    """
    with connection.transaction():
        fences.raise_epoch(connection, service, epoch)
        return fences.is_writable(connection, service)


def sequences_of(gate: Gate) -> Counts:
    """The current values of a service's sequences."""
    if gate.counting is None:
        return {}
    rows = gate.connection.execute(gate.counting).fetchall()
    return {str(name): (int(value), bool(is_called)) for name, value, is_called in rows}


@contextlib.contextmanager
def _as_leader(gate: Gate, epoch: int) -> Iterator[Connection]:
    """A transaction that first locks the fence and checks that it holds `epoch`. Raises: StaleEpoch."""
    with gate.connection.transaction():
        # If this process is stopped here, the server ends the transaction and waiting writes go on.
        gate.connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}")
        row = gate.connection.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [gate.service]
        ).fetchone()
        if row is None or int(row[0]) != epoch:
            raise StaleEpoch(f"{gate.service}: epoch {epoch} is stale: the fence holds {row[0] if row else 'none'}")
        yield gate.connection


def _existing(connection: Connection, names: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(names)]).fetchall()
    return [str(name) for (name,) in rows]


def _roles(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("PUBLIC") if name == "public" else sql.Identifier(name) for name in names)


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("public", name) for name in names)

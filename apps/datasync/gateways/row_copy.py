"""Copying tables between servers as of one snapshot: binary COPY, in parallel chunks, keys built afterwards.

A chunk is a range of a table's pages, read in disk order independently of the key. Under one snapshot the pages hold
the same rows for every reader.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from psycopg import sql

from apps.core.postgres import connections, fences, replication
from apps.core.postgres.connections import Connection
from apps.datasync.gateways.tables import PAGE_BYTES, Table

CHUNK_PAGES = 2048
BLOCK_BYTES = 128 * 1024
# Definitions of the keys dropped before a copy; they outlive a copy that dies.
KEYS = "extraction.dropped_key"
KEYS_OF = """
SELECT conrelid::regclass::text, 'CONSTRAINT', conname, pg_get_constraintdef(oid),
    CASE contype WHEN 'p' THEN 1 WHEN 'u' THEN 2 WHEN 'x' THEN 2 ELSE 3 END
FROM pg_constraint WHERE contype IN ('p', 'u', 'x', 'f')
    AND (conrelid = ANY(%(t)s::regclass[]) OR confrelid = ANY(%(t)s::regclass[]))
UNION ALL
SELECT i.indrelid::regclass::text, 'INDEX', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), 2
FROM pg_index i WHERE i.indrelid = ANY(%(t)s::regclass[])
    AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x'))
"""


class _Key(NamedTuple):
    """A key or an index of a table, as `KEYS_OF` selects it. Keys of a lower turn are built first."""

    relation: str
    kind: str
    name: str
    definition: str
    turn: int


class Stopped(Exception):
    """The copy is no longer wanted."""


class Progress(NamedTuple):
    """How much has been copied since the last report."""

    rows: int
    bytes: int


class _Chunk(NamedTuple):
    table: Table
    first_page: int
    end_page: int


@contextlib.contextmanager
def snapshot(source: str) -> Iterator[str]:
    """Export a snapshot of a database and yield its name; it lasts as long as the block."""
    with connections.control(source, options="-c idle_in_transaction_session_timeout=0") as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        yield str(row[0]) if row else ""


class IsPrimary(Exception):
    """The target takes writes: a primary is never emptied."""


def empty(target: Connection, service: str, tables: Sequence[Table], *, by: str, again: bool = False) -> None:
    """Delete every row, and drop every key and index after recording its definition; foreign keys to these tables too.

    `by` is the synchronisation that fills the tables from now on. `again` is set by one that discards its own copy, and
    is refused when another has begun meanwhile. Raises: IsPrimary.
    """
    names = [f"public.{table.name}" for table in tables]
    with target.transaction():
        _require_closed(target, service, [table.name for table in tables])
        if again and not fences.is_filling(target, service, by):
            raise IsPrimary(f"another synchronisation fills the database of {service} by now")
        fences.begin_to_fill(target, service, by)
        target.execute(
            f"CREATE TABLE IF NOT EXISTS {KEYS} (relation text, kind text, name text, definition text, turn int,"
            " PRIMARY KEY (relation, name))"
        )
        keys = target.execute(KEYS_OF, {"t": names}).fetchall()
        for row in sorted(map(_Key._make, keys), key=lambda key: -key.turn):
            target.execute(f"INSERT INTO {KEYS} VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", row)
            target.execute(_drop(row.relation, row.kind, row.name))
        target.execute(
            sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(table.named for table in tables))  # keys are gone
        )


def mend(target: Connection, service: str) -> None:
    """Empty the tables that a dead copy left half filled and without keys, and rebuild the keys. Raises: IsPrimary."""
    if (target.execute("SELECT to_regclass(%s)", [KEYS]).fetchone() or [None])[0] is None:
        return
    with target.transaction():
        # Every table of the service that lacks a key, so that tables that refer to each other are empty together.
        pattern = replication.pattern_of(service)
        rows = target.execute(f"SELECT DISTINCT relation FROM {KEYS} WHERE relation ~ %s", [pattern]).fetchall()
        if rows:
            _require_closed(target, service, [str(relation) for (relation,) in rows])
        for (relation,) in rows:
            target.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(str(relation))))
    build_keys(target)


def _require_closed(target: Connection, service: str, tables: Sequence[str]) -> None:
    """Raise IsPrimary when the target takes writes, follows already, or publishes these tables to another database."""
    if not fences.hold_closed(target, service):
        raise IsPrimary(f"that database is the primary of {service}")
    if replication.is_subscribed(target, f"lc_{service}"):
        raise IsPrimary(f"the database of {service} follows by another synchronisation")
    row = target.execute(
        "SELECT pubname FROM pg_publication_tables WHERE schemaname = 'public' AND tablename = ANY(%s)", [list(tables)]
    ).fetchone()
    if row is not None:
        raise IsPrimary(f"{row[0]} publishes these tables to their primary: manage.py extraction {service} abort")


def build_keys(target: Connection) -> None:
    """Build every key that was dropped: primary and unique keys first, then foreign keys.

    Raises: psycopg.IntegrityError when the rows do not allow one.
    """
    if (target.execute("SELECT to_regclass(%s)", [KEYS]).fetchone() or [None])[0] is None:
        return
    target.execute("SET maintenance_work_mem = '256MB'")
    rows = target.execute(f"SELECT relation, kind, name, definition FROM {KEYS} ORDER BY turn, relation, name")
    for relation, kind, name, definition in rows.fetchall():
        with target.transaction():
            target.execute(_make(relation, kind, name, definition))
            target.execute(f"DELETE FROM {KEYS} WHERE relation = %s AND name = %s", [relation, name])


def tidy(target: Connection, tables: Sequence[Table]) -> None:
    """Vacuum, analyse and checkpoint: without these the first writes after a copy take half a second."""
    for table in tables:
        target.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table.named))
    target.execute("CHECKPOINT")


def copy(
    source: str,
    target: str,
    tables: Sequence[Table],
    *,
    at: str,
    jobs: int,
    report: Callable[[Progress], None],
    wanted: Callable[[], bool],
) -> None:
    """Copy tables as of the snapshot `at` into empty ones. `wanted` is called before each chunk, and may block.

    Raises: Stopped; psycopg.Error.
    """
    waiting = deque(sorted(_chunks(tables), key=lambda chunk: chunk.first_page - chunk.end_page))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with connections.control(source, options="-c idle_in_transaction_session_timeout=0") as reader:
                reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                reader.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(at)))
                with connections.control(target, options="-c synchronous_commit=off") as writer:
                    while not failures:
                        try:
                            chunk = waiting.popleft()
                        except IndexError:
                            return
                        if not wanted():
                            raise Stopped
                        rows = _copy(reader, writer, chunk)
                        report(Progress(rows, (min(chunk.end_page, chunk.table.pages) - chunk.first_page) * PAGE_BYTES))
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            failures.append(error)

    threads = [threading.Thread(target=work, name=f"copy-{number}", daemon=True) for number in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _chunks(tables: Sequence[Table]) -> Iterator[_Chunk]:
    for table in tables:
        # One page more: a table that was empty when it was measured may have a row by the moment of the snapshot.
        for first in range(0, table.pages + 1, CHUNK_PAGES):
            is_last = first + CHUNK_PAGES > table.pages
            yield _Chunk(table, first, 2**32 - 1 if is_last else first + CHUNK_PAGES)


def _copy(reader: Connection, writer: Connection, chunk: _Chunk) -> int:
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in chunk.table.columns)
    reading = sql.SQL(
        "COPY (SELECT {columns} FROM {table} WHERE ctid >= {first} AND ctid < {end}) TO STDOUT (FORMAT binary)"
    ).format(
        columns=columns,
        table=chunk.table.named,
        first=sql.SQL("'({},0)'::tid").format(sql.SQL(str(chunk.first_page))),
        end=sql.SQL("'({},0)'::tid").format(sql.SQL(str(chunk.end_page))),
    )
    writing = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(chunk.table.named, columns)
    cursor = writer.cursor()
    with reader.cursor().copy(reading) as rows, cursor.copy(writing) as sink:
        block: list[bytes] = []
        size = 0
        for row in rows:  # the server sends one row at a time; passing them on in blocks is a third faster
            block.append(bytes(row))
            size += len(row)
            if size > BLOCK_BYTES:
                sink.write(b"".join(block))
                block, size = [], 0
        sink.write(b"".join(block))
    return cursor.rowcount


def _drop(relation: str, kind: str, name: str) -> sql.Composed:
    # Names come from the server's catalogue, quoted by it where they need to be.
    if kind == "CONSTRAINT":
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(sql.SQL(relation), sql.Identifier(name))
    return sql.SQL("DROP INDEX IF EXISTS {}").format(sql.SQL(name))


def _make(relation: str, kind: str, name: str, definition: str) -> sql.Composed:
    if kind == "CONSTRAINT":
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.SQL(relation), sql.Identifier(name), sql.SQL(definition)
        )
    return sql.SQL("{}").format(sql.SQL(definition))

"""Tables as both databases describe them: columns, keys, size, and the hash of a row's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from apps.core.postgres import replication
from apps.core.postgres.connections import Connection
from apps.datasync.interface import UnknownTable

PAGE_BYTES = 8192
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), coalesce(a.attnum = ANY(i.indkey), false)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attname
"""
SIZE = "SELECT pg_relation_size(oid), greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)"


class Column(NamedTuple):
    """A column and its type."""

    name: str
    type: str


class Table(NamedTuple):
    """A table: its columns by name, the key's columns, pages on disk, and the estimated number of rows."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    pages: int
    rows: int

    @property
    def named(self) -> sql.Identifier:
        """The table as an identifier in a statement."""
        return sql.Identifier("public", self.name)

    @property
    def row_hash(self) -> sql.Composed:
        """64 bits over the bytes of all columns as the server sends them, types included.

        Not `hash_record`: it equates what `=` equates, and 1.0 and 1.00 are not the same row.
        """
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in self.columns)
        return sql.SQL("hashbyteaextended(record_send(ROW({})), 0)").format(columns)

    @property
    def key_columns(self) -> sql.Composed:
        """The key's columns."""
        return sql.SQL(", ").join(sql.Identifier(column.name) for column in self.key)

    @property
    def key_text(self) -> sql.Composed:
        """The key's columns as an array of text."""
        return sql.SQL("ARRAY[{}]").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in self.key)
        )

    def key_row(self, values: Sequence[str]) -> sql.Composed:
        """A key's values as a row to compare with."""
        parts = [
            sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.type))
            for column, value in zip(self.key, values, strict=True)
        ]
        return sql.SQL("({})").format(sql.SQL(", ").join(parts))


def tables_of(connection: Connection, service: str) -> tuple[str, ...]:
    """The names of a service's tables."""
    return replication.tables_of(connection, service)


def describe(connection: Connection, service: str, name: str) -> Table:
    """A table of a service. Raises: UnknownTable when the service has no such table, or it has no primary key."""
    if name not in tables_of(connection, service):
        raise UnknownTable(table=name)
    described = connection.execute(COLUMNS, [f"public.{name}"]).fetchall()
    columns = tuple(Column(column, kind) for column, kind, _ in described)
    key = tuple(Column(column, kind) for column, kind, is_key in described if is_key)
    size = connection.execute(SIZE, [f"public.{name}"]).fetchone()
    if not key or size is None:
        raise UnknownTable(table=name)
    size_bytes, rows = size
    return Table(name, columns, key, -(-int(size_bytes) // PAGE_BYTES), int(rows))


def describe_all(connection: Connection, service: str, only: str = "") -> tuple[Table, ...]:
    """One table of a service, or all of them. Raises: UnknownTable."""
    names = (only,) if only else tables_of(connection, service)
    if not names:
        raise UnknownTable(table=f"{service}_*")
    return tuple(describe(connection, service, name) for name in names)


def count(connection: Connection, table: Table) -> int:
    """The number of rows."""
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table.named)).fetchone()
    return int(row[0]) if row else 0


def checksum(connection: Connection, table: Table) -> tuple[int, str]:
    """The number of rows and the sum of their hashes, which does not depend on their order."""
    query = sql.SQL("SELECT count(*), coalesce(sum(({})::numeric), 0)::text FROM {}").format(
        table.row_hash, table.named
    )
    row = connection.execute(query).fetchone()
    rows, total = row or (0, "")
    return int(rows), str(total)

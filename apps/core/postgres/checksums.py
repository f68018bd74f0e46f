"""A table's content as two numbers that do not depend on row order: the count of rows and the sum of their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from apps.core.postgres.connections import Connection

# The bytes of every row as the server sends them, so that equal sums mean equality to the bit.
SUM = "SELECT count(*), coalesce(sum(hashbyteaextended(record_send(row.*::{table}), 0)::numeric), 0)::text FROM {table} AS row"


class Content(NamedTuple):
    """The number of rows, and the sum of their 64-bit hashes as decimal text."""

    rows: int
    sum: str


def content(connection: Connection, table: str) -> Content:
    """The content of a table of the schema public."""
    named = sql.Identifier("public", table)
    row = connection.execute(sql.SQL(SUM).format(table=named)).fetchone()
    rows, total = row or (0, "0")
    return Content(int(rows), str(total))


def contents(connection: Connection, tables: Iterable[str]) -> dict[str, Content]:
    """The content of several tables, by name."""
    return {table: content(connection, table) for table in tables}

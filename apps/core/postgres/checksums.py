"""What is in a table, in two numbers that do not depend on where its rows lie: how many there are, and a sum over their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from apps.core.postgres.connections import Connection

# The bytes of every row as the server sends them, so that what is compared is the same to the bit.
SUM = "SELECT count(*), coalesce(sum(hashbyteaextended(record_send(row.*::{table}), 0)::numeric), 0)::text FROM {table} AS row"


class Content(NamedTuple):
    """Rows, and the sum of their 64-bit hashes as decimal text."""

    rows: int
    sum: str


def content(connection: Connection, table: str) -> Content:
    """What is in a table of the schema public."""
    named = sql.Identifier("public", table)
    row = connection.execute(sql.SQL(SUM).format(table=named)).fetchone()
    rows, total = row or (0, "0")
    return Content(int(rows), str(total))


def contents(connection: Connection, tables: Iterable[str]) -> dict[str, Content]:
    """The same of several, by name."""
    return {table: content(connection, table) for table in tables}

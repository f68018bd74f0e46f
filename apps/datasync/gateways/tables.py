"""Tables by name, in the source and in the target database, through psycopg: columns, pieces, copies, checksums.

Names are looked up in the catalogue first, so that nothing a caller sends becomes SQL.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from django.conf import settings
from psycopg import sql

from apps.core.seam.topology import database_of
from apps.datasync.interface import NoTarget, UnknownTable

PIECE = 5_000
CATALOGUE = """
SELECT a.attname, coalesce(i.indisprimary, false)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)
WHERE c.oid = to_regclass(%s) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class Table(NamedTuple):
    """A table that can be copied: its name, columns and primary key."""

    name: str
    columns: tuple[str, ...]
    key: str


def source(service: str) -> psycopg.Connection:
    """A connection to the database where the service is at home."""
    database = settings.DATABASES[database_of(service)]
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"],
        autocommit=True,
    )


def target(service: str) -> psycopg.Connection:
    """A connection to the service's target database. Raises: NoTarget."""
    address = settings.SYNC_TARGETS.get(service)
    if not address:
        raise NoTarget(service=service)
    return psycopg.connect(address, autocommit=True)


def describe(connection: psycopg.Connection, service: str, name: str) -> Table:
    """The table of a service by name. Raises: UnknownTable."""
    if not name.startswith(f"{service}_"):
        raise UnknownTable(table=name)
    rows = connection.execute(CATALOGUE, [f"public.{name}"]).fetchall()
    keys = [column for column, is_key in rows if is_key]
    if len(keys) != 1:
        raise UnknownTable(table=name)
    return Table(name, tuple(column for column, _ in rows), keys[0])


def count(connection: psycopg.Connection, table: Table) -> int:
    """How many rows there are."""
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))).fetchone()
    return int(row[0]) if row else 0


def checksum(connection: psycopg.Connection, table: Table) -> str:
    """A sum over the rows' hashes, whatever their order. Columns are named, so that their order does not matter either."""
    query = sql.SQL("SELECT coalesce(sum(hash_record_extended(({}), 0)::numeric), 0)::text FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, sorted(table.columns))), sql.Identifier(table.name)
    )
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


def copy_piece(
    origin: psycopg.Connection, destination: psycopg.Connection, table: Table, after: str | None
) -> tuple[int, str | None]:
    """Copy up to `PIECE` rows after a key, by COPY into a staging table and an upsert; the count and the last key.

    A piece copied twice changes nothing.
    """
    key, name = sql.Identifier(table.key), sql.Identifier(table.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    where = sql.SQL("") if after is None else sql.SQL("WHERE {} > {}").format(key, sql.Literal(after))
    piece = sql.SQL("SELECT {} FROM {} {} ORDER BY {} LIMIT {}").format(columns, name, where, key, sql.Literal(PIECE))
    staging = sql.Identifier(f"staging_{table.name}"[:63])
    with origin.transaction(), destination.transaction():
        origin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        last = origin.execute(
            sql.SQL("SELECT count(*) OVER (), {key}::text FROM ({piece}) AS piece ORDER BY {key} DESC LIMIT 1").format(
                key=key, piece=piece
            )
        ).fetchone()
        if last is None:
            return 0, after
        destination.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                staging, columns, name
            )
        )
        _pipe(origin, destination, piece, staging)
        destination.execute(_upsert(table, staging, columns))
    return int(last[0]), str(last[1])


def _pipe(
    origin: psycopg.Connection, destination: psycopg.Connection, piece: sql.Composed, staging: sql.Identifier
) -> None:
    with (
        origin.cursor().copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(piece)) as reading,
        destination.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(staging)) as writing,
    ):
        for block in reading:
            writing.write(block)


def _upsert(table: Table, staging: sql.Identifier, columns: sql.Composed) -> sql.Composed:
    assignments = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in table.columns if column != table.key
    )
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table.name), columns, columns, staging, sql.Identifier(table.key), assignments
    )

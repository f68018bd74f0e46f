"""Puts the rows of `move_tables` into a service's tables: made by the server itself, as the owner of tables, with valid references."""

from __future__ import annotations

import psycopg
from psycopg import sql

from tests.drills.move_tables import BEFORE, Rows


def make(owner_url: str, service: str, count: int) -> int:
    """At least so many rows in all tables of a service; how many they are. Statistics are made with them."""
    chosen = BEFORE[service]
    units = -(-count // sum(rows.each for rows in chosen))
    with psycopg.connect(owner_url, autocommit=True) as owner:
        inserted = 0
        with owner.transaction():
            for rows in chosen:
                inserted += owner.execute(_statement(rows), {"each": rows.each, "last": units * rows.each - 1}).rowcount
        for rows in chosen:
            owner.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(rows.table)))
    return inserted


def _statement(rows: Rows) -> sql.Composed:
    # The values are written above; they hold nothing from outside.
    return sql.SQL(
        "WITH unit AS (SELECT %(each)s::bigint AS each)"
        " INSERT INTO {} ({}) SELECT {} FROM unit, generate_series(0, %(last)s::bigint) AS i, LATERAL (SELECT i / each AS u) AS number"
    ).format(
        sql.Identifier(rows.table),
        sql.SQL(", ").join(map(sql.Identifier, rows.values)),
        sql.SQL(", ").join(map(sql.SQL, rows.values.values())),
    )

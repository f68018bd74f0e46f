"""Comparing a table's rows on two servers: checksums of key ranges, narrowed to every row and field that differs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from psycopg import sql

from apps.core.postgres.connections import Connection
from apps.datasync.gateways.tables import Table
from apps.datasync.interface import DifferenceKind

CHUNK_ROWS = 50_000
T = TypeVar("T")
Key = tuple[str, ...]


class Both(NamedTuple):
    """A connection to each side: `primary` takes the writes, `other` follows it."""

    primary: Connection
    other: Connection


class Unlike(Exception):
    """The table has other columns, types or keys on the other side, so that none of its rows can be the same."""


class Range(NamedTuple):
    """Keys after `after`, up to and including `upto`; None is an open end."""

    after: Key | None
    upto: Key | None


class RowDifference(NamedTuple):
    """A row that is not the same on both sides."""

    key: Key
    kind: DifferenceKind
    fields: tuple[str, ...]


def require_alike(primary: Table, other: Table) -> None:
    """Raise Unlike unless both have the same columns, types and key."""
    if primary.columns != other.columns or primary.key != other.key:
        differing = sorted({column.name for column in {*primary.columns} ^ {*other.columns}}) or ["the primary key"]
        raise Unlike(f"{primary.name} has different definitions on the two sides: {', '.join(differing)}")


def ranges(connection: Connection, table: Table, after: Key | None, rows: int = CHUNK_ROWS) -> Iterator[Range]:
    """Divide a table's keys into ranges of `rows` rows. The last is open: it covers extra keys on the other side."""
    while True:
        query = sql.SQL("SELECT {text} FROM {table} WHERE {where} ORDER BY {key} OFFSET {offset} LIMIT 1").format(
            text=table.key_text,
            table=table.named,
            where=_within(table, Range(after, None)),
            key=table.key_columns,
            offset=sql.Literal(rows - 1),
        )
        row = connection.execute(query).fetchone()
        upto = tuple(row[0]) if row else None
        yield Range(after, upto)
        if upto is None:
            return
        after = upto


def checksums(both: Both, table: Table, within: Range) -> tuple[tuple[int, str], tuple[int, str]]:
    """The count and the sum of hashes of a range's rows on both sides, computed at the same time."""
    query = sql.SQL("SELECT count(*), coalesce(sum(({})::numeric), 0)::text FROM {} WHERE {}").format(
        table.row_hash, table.named, _within(table, within)
    )
    return _on_both(both, lambda connection: _count_and_sum(connection, query))


def differing(both: Both, table: Table, within: Range) -> list[Key]:
    """The keys of a range's rows that are not the same on both sides."""
    query = sql.SQL("SELECT {}, {} FROM {} WHERE {}").format(
        table.key_text, table.row_hash, table.named, _within(table, within)
    )
    primary, other = _on_both(both, lambda connection: _hashes(connection.execute(query).fetchall()))
    return sorted(key for key in primary.keys() | other.keys() if primary.get(key) != other.get(key))


def hashes(connection: Connection, table: Table, keys: Iterable[Key]) -> dict[Key, int]:
    """The hashes of the rows with these keys; missing rows are left out."""
    rows = [table.key_row(key) for key in keys]
    if not rows:
        return {}
    query = sql.SQL("SELECT {}, {} FROM {} WHERE {} IN ({})").format(
        table.key_text, table.row_hash, table.named, _key(table), sql.SQL(", ").join(rows)
    )
    return _hashes(connection.execute(query).fetchall())


def lock(connection: Connection, table: Table, keys: Sequence[Key]) -> None:
    """Lock these rows against changes until the transaction ends. Raises: psycopg.errors.LockNotAvailable."""
    rows = sql.SQL(", ").join(table.key_row(key) for key in keys)
    connection.execute(sql.SQL("SELECT 1 FROM {} WHERE {} IN ({}) FOR SHARE").format(table.named, _key(table), rows))


def explain(both: Both, table: Table, key: Key) -> RowDifference | None:
    """What differs in one row, or None when it is the same by now."""
    parts = [
        sql.SQL("encode(record_send(ROW({})), 'hex')").format(sql.Identifier(column.name)) for column in table.columns
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE {} = {}").format(
        sql.SQL(", ").join(parts), table.named, _key(table), table.key_row(key)
    )
    primary, other = (connection.execute(query).fetchone() for connection in both)
    if primary == other:
        return None
    if primary is None or other is None:
        return RowDifference(key, DifferenceKind.MISSING if other is None else DifferenceKind.EXTRA, ())
    names = tuple(
        column.name for column, ours, theirs in zip(table.columns, primary, other, strict=True) if ours != theirs
    )
    return RowDifference(key, DifferenceKind.CHANGED, names)


def _key(table: Table) -> sql.Composed:
    return sql.SQL("({})").format(table.key_columns)


def _within(table: Table, within: Range) -> sql.Composable:
    parts = []
    for value, sign in ((within.after, ">"), (within.upto, "<=")):
        if value is not None:
            parts.append(sql.SQL("{} {} {}").format(_key(table), sql.SQL(sign), table.key_row(value)))
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _hashes(rows: Sequence[Any]) -> dict[Key, int]:
    return {tuple(key): hash_ for key, hash_ in rows}


def _count_and_sum(connection: Connection, query: sql.Composed) -> tuple[int, str]:
    row = connection.execute(query).fetchone()
    rows, total = row or (0, "0")
    return int(rows), str(total)


def _on_both(both: Both, ask: Callable[[Connection], T]) -> tuple[T, T]:
    """Query both servers at the same time; each has a core of its own."""
    answers: dict[int, T] = {}
    problems: list[BaseException] = []

    def other() -> None:
        try:
            answers[1] = ask(both.other)
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            problems.append(error)

    thread = threading.Thread(target=other, name="compare", daemon=True)
    thread.start()
    try:
        answers[0] = ask(both.primary)
    finally:
        thread.join()
    if problems:
        raise problems[0]
    return answers[0], answers[1]


def by_name(tables: Iterable[Table]) -> Mapping[str, Table]:
    """Tables by their names."""
    return {table.name: table for table in tables}

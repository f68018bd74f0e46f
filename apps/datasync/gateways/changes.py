"""Read the keys of changed rows from a replication slot: PostgreSQL's pgoutput messages, protocol version 1.

Source: PostgreSQL manual, 54.9 "Logical Replication Message Formats". Values in the messages are ignored; both servers
are asked for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from apps.core.postgres.connections import Connection

PEEK = """
SELECT lsn::text, data
FROM pg_logical_slot_peek_binary_changes(%s, NULL, %s, 'proto_version', '1', 'publication_names', %s)
"""
MAX_CHANGES = 2_000


class Changed(NamedTuple):
    """The keys of changed rows by table, up to the log position `upto`. `tables` names the truncated tables."""

    rows: dict[str, set[tuple[str, ...]]]
    tables: set[str]
    upto: str | None
    is_all: bool = True


class _Relation(NamedTuple):
    name: str
    key_places: tuple[int, ...]


class UnknownMessage(Exception):
    """The server sent a message that protocol version 1 does not have."""


def peek(connection: Connection, slot: str, publication: str) -> Changed:
    """Read the changes since the slot was last advanced, whole transactions only.

    When every change was read and none concerned the publication, `upto` is the log position before the reading: the
    log up to there need not be kept.
    """
    row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    messages = connection.execute(PEEK, [slot, MAX_CHANGES, publication], binary=True).fetchall()
    changed = read((str(lsn), bytes(data)) for lsn, data in messages)
    is_all = len(messages) < MAX_CHANGES
    return changed._replace(upto=changed.upto or (str(row[0]) if row and is_all else None), is_all=is_all)


def advance(connection: Connection, slot: str, upto: str) -> None:
    """Let the server discard the log up to `upto`."""
    connection.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [slot, upto])


def read(messages: Iterable[tuple[str, bytes]]) -> Changed:
    """Collect the keys of changed rows. Raises: UnknownMessage."""
    relations: dict[int, _Relation] = {}
    changed = Changed({}, set(), None)
    upto: str | None = None
    for lsn, data in messages:
        kind = data[:1]
        if kind == b"R":
            number, relation = _relation(data)
            relations[number] = relation
        elif kind in b"IUD":
            relation = relations[struct.unpack_from(">I", data, 1)[0]]
            for values in _tuples(data):
                if relation.key_places and all(values[place] is not None for place in relation.key_places):
                    key = tuple(values[place] or "" for place in relation.key_places)
                    changed.rows.setdefault(relation.name, set()).add(key)
        elif kind == b"T":
            count = struct.unpack_from(">I", data, 1)[0]
            changed.tables.update(relations[number].name for number in struct.unpack_from(f">{count}I", data, 6))
        elif kind == b"C":
            upto = _lsn(struct.unpack_from(">Q", data, 10)[0])
        elif kind not in b"BOYM":
            raise UnknownMessage(f"{kind!r} at {lsn}")
    return changed._replace(upto=upto)


def _relation(data: bytes) -> tuple[int, _Relation]:
    number = struct.unpack_from(">I", data, 1)[0]
    _, at = _string(data, 5)
    name, at = _string(data, at)
    count = struct.unpack_from(">H", data, at + 1)[0]
    at += 3
    places: dict[str, int] = {}
    for place in range(count):
        is_key = data[at] & 1  # part of the replica identity
        column, at = _string(data, at + 1)
        if is_key:
            places[column] = place
        at += 8
    # In the order of column names, as `tables` describes keys.
    return number, _Relation(name, tuple(places[column] for column in sorted(places)))


def _tuples(data: bytes) -> list[list[str | None]]:
    """The tuples of an insert, update or delete: old (by key or whole) and new."""
    rows = []
    at = 5
    while at < len(data):
        at += 1  # K, O or N
        count = struct.unpack_from(">H", data, at)[0]
        at += 2
        values: list[str | None] = []
        for _ in range(count):
            kind = data[at : at + 1]
            at += 1
            if kind == b"t":
                size = struct.unpack_from(">I", data, at)[0]
                at += 4
                values.append(data[at : at + size].decode())
                at += size
            else:  # n: NULL, or not part of the key; u: a large value that did not change
                values.append(None)
        rows.append(values)
    return rows


def _string(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def _lsn(value: int) -> str:
    return f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"

"""What was acknowledged, read back from both databases of a service, and every event: once in its outbox, once received by each consumer."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from django.db import connection as routed_connection
from psycopg import sql

from apps.core import topology
from apps.core.postgres import fences, replication
from apps.extraction.state import stages
from tests.drills.sales import Fact

ARRIVE_SECONDS = 20
SHOWN = 5
Connection = psycopg.Connection[Any]
EventKind = tuple[str, str]
COLUMNS = """
SELECT a.attname, coalesce(a.attnum = ANY(i.indkey), false) FROM pg_attribute a
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname
"""


class Acknowledged(NamedTuple):
    """Where one of a sale's facts must be stored, and how often."""

    table: str
    column: str
    fact: str
    times: int | None = 1


# What a whole sale leaves with each service. The audit checks how many messages it makes.
EFFECTS: dict[str, tuple[Acknowledged, ...]] = {
    "authentication": (Acknowledged("authentication_user", "email", "newcomer"),),
    "documents": (Acknowledged("documents_document", "id", "document_id"),),
    "signatures": (Acknowledged("signatures_signature", "document_id", "document_id", 2),),
    "contracts": (
        Acknowledged("contracts_landplot", "id", "plot_id"),
        Acknowledged("contracts_contract", "id", "contract_id"),
        Acknowledged("contracts_party", "contract_id", "contract_id", 3),
    ),
    "workflow": (Acknowledged("workflow_workflow", "contract_id", "contract_id"),),
    "notifications": (Acknowledged("notifications_notification", "contract_id", "contract_id", None),),
}


class Differences(NamedTuple):
    """What is missing and what is there more than once, in words; rows and events apart."""

    lost: list[str]
    doubled: list[str]

    def judge(self, what: str, count: int, expected: int = 1) -> None:
        """Record a count that is too low or too high."""
        if count < expected:
            self.lost.append(f"{what}: {count} of {expected}")
        elif count > expected:
            self.doubled.append(f"{what}: {count} instead of {expected}")


def no_differences() -> Differences:
    """Empty lists, to be filled."""
    return Differences([], [])


def compare(primary: Connection, other: Connection, table: str) -> Differences:
    """Rows of a table that are not the same in both databases: rows that only the primary has are lost, rows that only the other has are doubled."""
    differences = no_differences()
    if _sum(primary, table) == _sum(other, table):
        return differences
    ours, theirs = _hashes(primary, table), _hashes(other, table)
    for key in ours.keys() | theirs.keys():
        if key not in theirs:
            differences.lost.append(f"{table} {key} is in the primary only")
        elif key not in ours:
            differences.doubled.append(f"{table} {key} is in the other only")
        elif ours[key] != theirs[key]:
            differences.lost.append(f"{table} {key} is not the same")
    return differences


def compare_all(primary: Connection, other: Connection, tables: Iterable[str]) -> Differences:
    """Compare all tables; each may take some seconds until the last writes have arrived."""
    differences = no_differences()
    for table in tables:
        deadline = time.monotonic() + ARRIVE_SECONDS
        while (latest := compare(primary, other, table)) != no_differences() and time.monotonic() < deadline:
            time.sleep(0.2)
        differences.lost.extend(latest.lost)
        differences.doubled.extend(latest.doubled)
    return differences


def effects(database: Connection, where: str, effects_of: Iterable[Acknowledged], facts: list[Fact]) -> Differences:
    """Whether every sale's rows are in one database, as often as they should be."""
    differences = no_differences()
    for effect in effects_of:
        query = sql.SQL(
            "SELECT {column}::text, count(*) FROM {table} WHERE {column}::text = ANY(%s) GROUP BY 1"
        ).format(column=sql.Identifier(effect.column), table=sql.Identifier(effect.table))
        wanted = [getattr(fact, effect.fact) for fact in facts]
        counted = dict(database.execute(query, [wanted]).fetchall())
        for value in wanted:
            number = counted.get(value, 0)
            differences.judge(f"{effect.table} of {value} in {where}", number, effect.times or max(number, 1))
    return differences


def commands(primary: Connection, other: Connection, service: str, keys: list[str]) -> Differences:
    """Acknowledged requests that one database knows and the other does not."""
    query = sql.SQL("SELECT key, count(*) FROM {} WHERE key = ANY(%s) GROUP BY 1").format(
        sql.Identifier(f"{service}_command")
    )
    ours, theirs = (Counter(dict(database.execute(query, [keys]).fetchall())) for database in (primary, other))
    differences = no_differences()
    for key in ours.keys() | theirs.keys():
        differences.judge(f"command {key} in the other database", theirs[key], ours[key])
    return differences


def both(service: str, facts: list[Fact], keys: list[str]) -> Differences:
    """Compare both databases of a service, once the primary's writes have arrived in the other."""
    differences = no_differences()
    with stages.pair(service) as pair:
        alias = service if fences.is_writable(pair.own, service) else stages.SHARED
        primary, other = pair.side(alias), pair.side(pair.other(alias))
        replication.beat(primary, other, service, seconds=ARRIVE_SECONDS, name="read back")
        parts = [
            compare_all(primary, other, replication.tables_of(primary, service)),
            commands(primary, other, service, keys),
            *(
                effects(database, where, EFFECTS[service], facts)
                for database, where in ((primary, "the primary"), (other, "the other"))
            ),
        ]
    for part in parts:
        differences.lost.extend(part.lost)
        differences.doubled.extend(part.doubled)
    return differences


def keys_of(service: str, keys: list[str]) -> set[str]:
    """Those of many keys that are a service's commands."""
    return {key for (key,) in _rows(f"SELECT key FROM {service}_command WHERE key = ANY(%s)", keys)}


def kinds_of_events(since: Any) -> Counter[EventKind]:
    """How many events of each type there are for each consumer."""
    return Counter((row.type, row.consumer) for row in _outboxes(since))


def expected_events(one_sale: Counter[EventKind], sales: int, status_changes: int) -> Counter[EventKind]:
    """The events of so many sales. A contract may skip a status, and publishes only those that it reached."""
    return Counter(
        {
            kind: status_changes if kind[0] == "contracts.status_changed" else each * sales
            for kind, each in one_sale.items()
        }
    )


def status_changes(since: Any) -> int:
    """How many statuses contracts came to after they were made."""
    ((count,),) = _rows("SELECT count(*) FROM contracts_statuschange WHERE at >= %s AND status <> 'draft'", since)
    return int(count)


def events(since: Any, expected: Counter[EventKind] | None = None) -> Differences:
    """Every event since a moment: once in the primary's outbox for each consumer, delivered, received once, in an unbroken sequence."""
    differences, outboxes = no_differences(), _outboxes(since)
    times = Counter((row.event_id, row.consumer) for row in outboxes)
    kind_of = {(row.event_id, row.consumer): row.type for row in outboxes}
    received = _received(since)
    for key, number in times.items():
        words = f"{kind_of[key]} {key[0]} for {key[1]}"
        differences.judge(f"{words} in the outbox", number)
        differences.judge(f"{words} received", received[key])
    differences.lost.extend(
        f"{row.type} {row.event_id} for {row.consumer} waits" for row in outboxes if not row.is_delivered
    )
    differences.lost.extend(
        f"event {key[0]} was received by {key[1]} and is in no outbox" for key in received if key not in times
    )
    sequences: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in outboxes:
        sequences[row.service, row.aggregate_id, row.consumer].append(row.sequence)
    for (service, aggregate, consumer), numbers in sequences.items():
        if gaps := set(range(min(numbers), max(numbers) + 1)) - set(numbers):
            differences.lost.append(f"{service}: events {sorted(gaps)} of {aggregate} for {consumer}")
    if expected is not None:
        counts = Counter((row.type, row.consumer) for row in outboxes)
        for kind in expected.keys() | counts.keys():
            differences.judge(f"events {kind[0]} for {kind[1]}", counts[kind], expected[kind])
    return differences


class _Event(NamedTuple):
    service: str
    event_id: str
    consumer: str
    type: str
    aggregate_id: str
    sequence: int
    is_delivered: bool


def _outboxes(since: Any) -> list[_Event]:
    return [
        _Event(service, *row)
        for service in topology.entries()
        for row in _rows(
            "SELECT event_id::text, consumer, type, aggregate_id::text, sequence, delivered_at IS NOT NULL"
            f" FROM {service}_outbox WHERE occurred_at >= %s",
            since,
        )
    ]


def _received(since: Any) -> Counter[tuple[str, str]]:
    received: Counter[tuple[str, str]] = Counter()
    for service in topology.entries():
        sql_ = f"SELECT key, count(*) FROM {service}_command WHERE method = 'receive' AND created_at >= %s GROUP BY 1"
        received.update({(key, service): count for key, count in _rows(sql_, since)})
    return received


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """From the service's primary: the cursor follows relocated tables."""
    with routed_connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def _sum(database: Connection, table: str) -> tuple[Any, ...] | None:
    _, digest = _key_and_digest(database, table)
    query = sql.SQL("SELECT count(*), sum({}::numeric) FROM {}").format(digest, sql.Identifier(table))
    return database.execute(query).fetchone()


def _hashes(database: Connection, table: str) -> dict[str, int]:
    key, digest = _key_and_digest(database, table)
    return dict(
        database.execute(sql.SQL("SELECT {}, {} FROM {}").format(key, digest, sql.Identifier(table))).fetchall()
    )


def _key_and_digest(database: Connection, table: str) -> tuple[sql.Composed, sql.Composed]:
    """The key as text, and 64 bits over all columns by name: their order on disk may differ between two databases."""
    columns = [(str(name), bool(is_key)) for name, is_key in database.execute(COLUMNS, [table]).fetchall()]
    key = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name, is_key in columns if is_key)
    every = sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
    return (
        sql.SQL("concat_ws(' ', {})").format(key),
        sql.SQL("hashtextextended(ROW({})::text, 0)").format(every),
    )

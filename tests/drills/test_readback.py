"""Reading back reports missing and doubled rows, and every way to lose or double an event; each is planted in turn."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from apps.core.postgres import connections
from tests.drills import audit, readback
from tests.drills.readback import Acknowledged, Differences
from tests.drills.sales import Fact
from tests.world import World, settle

ROWS = "(id int PRIMARY KEY, name text, price numeric, at timestamptz, parameters jsonb, answer bytea, roles text[])"
ROW = "({id}, 'Ёлкина', 1.50, '2024-02-29T12:00Z', '{{\"a\": null}}', '\\x00ff', '{{seller,NULL}}')"


@contextmanager
def two_databases() -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """Two sessions, each with a table of its own under one name."""
    with connections.control("default") as primary, connections.control("default") as other:
        for database in (primary, other):
            database.execute(f"CREATE TEMPORARY TABLE planted {ROWS}")
            database.execute(f"INSERT INTO planted VALUES {ROW.format(id=1)}, {ROW.format(id=2)}")
        yield primary, other


def execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.mark.parametrize(
    ("in_primary", "change", "lost", "doubled"),
    [
        (True, "SELECT", 0, 0),
        (False, "DELETE FROM planted WHERE id = 2", 1, 0),
        (False, "TRUNCATE planted", 2, 0),
        (False, f"INSERT INTO planted VALUES {ROW.format(id=3)}", 0, 1),
        (True, "DELETE FROM planted WHERE id = 2", 0, 1),
        (False, "UPDATE planted SET price = 1.5 WHERE id = 1", 1, 0),
        (False, "UPDATE planted SET answer = NULL WHERE id = 1", 1, 0),
        (False, "UPDATE planted SET roles = '{seller}' WHERE id = 1", 1, 0),
        (False, "UPDATE planted SET id = 3 WHERE id = 1", 1, 1),
    ],
)
def test_a_row_that_is_not_the_same_in_both_is_found(in_primary: bool, change: str, lost: int, doubled: int):
    with two_databases() as (primary, other):
        (primary if in_primary else other).execute(change)
        differences = readback.compare(primary, other, "planted")
    assert (len(differences.lost), len(differences.doubled)) == (lost, doubled), differences


def test_an_acknowledged_write_that_one_database_lacks_or_has_twice_is_found():
    facts = [fact_with(str(number)) for number in (1, 2, 7)]
    with two_databases() as (primary, other):
        once = (Acknowledged("planted", "id", "contract_id"),)
        assert readback.effects(primary, "the primary", once, facts).lost == ["planted of 7 in the primary: 0 of 1"]
        other.execute("ALTER TABLE planted DROP CONSTRAINT planted_pkey")
        other.execute(f"INSERT INTO planted VALUES {ROW.format(id=2)}, {ROW.format(id=7)}")
        differences = readback.effects(other, "the other", once, facts)
        assert differences == Differences([], ["planted of 2 in the other: 2 instead of 1"])


def test_a_command_that_one_database_lacks_is_found():
    with two_databases() as (primary, other):
        for database in (primary, other):
            database.execute("CREATE TEMPORARY TABLE planted_command (key text)")
            database.execute("INSERT INTO planted_command VALUES ('a'), ('b'), ('another''s')")
        other.execute("DELETE FROM planted_command WHERE key = 'b'")
        other.execute("INSERT INTO planted_command VALUES ('a')")
        differences = readback.commands(primary, other, "planted", ["a", "b"])
    assert differences == Differences(
        ["command b in the other database: 0 of 1"], ["command a in the other database: 2 instead of 1"]
    )


def fact_with(contract_id: str) -> Fact:
    return Fact("", "", contract_id, "", "", ("", "", ""), "")


@pytest.fixture
def contract_since(here: World) -> tuple[Any, str]:
    """A moment, and a contract that was made after it and whose events are delivered."""
    since = audit.now()
    contract = here.contract(here.person(), here.person())
    settle(here.trace)
    return since, str(contract.id)


def of(contract_since: tuple[Any, str], expected: Any = None) -> Differences:
    """The complaints about this contract's events, not those of other tests."""
    since, contract = contract_since
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id::text FROM contracts_outbox WHERE aggregate_id = %s", [contract])
        ours = [contract, *(event for (event,) in cursor.fetchall())]
    differences = readback.events(since, expected)
    return Differences(
        *([words for words in part if any(identity in words for identity in ours)] for part in differences)
    )


def test_events_that_were_all_received_have_no_complaint(contract_since):
    assert readback.kinds_of_events(contract_since[0])["contracts.contract_created", "workflow"] == 1
    assert of(contract_since) == Differences([], [])


def test_an_event_that_was_not_received_is_lost(contract_since):
    execute(
        "DELETE FROM workflow_command WHERE key IN (SELECT event_id::text FROM contracts_outbox WHERE aggregate_id = %s)",
        contract_since[1],
    )
    assert [words.split(" ")[0] for words in of(contract_since).lost] == ["contracts.contract_created"]


def test_an_event_that_waits_is_lost(contract_since):
    execute("UPDATE contracts_outbox SET delivered_at = NULL WHERE aggregate_id = %s", contract_since[1])
    try:
        assert all(words.endswith("waits") for words in of(contract_since).lost)
        assert of(contract_since).lost
    finally:
        execute("UPDATE contracts_outbox SET delivered_at = now() WHERE aggregate_id = %s", contract_since[1])


def test_an_event_that_was_received_and_is_in_no_outbox_is_lost(contract_since):
    since, contract = contract_since
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM contracts_outbox WHERE aggregate_id = %s RETURNING event_id::text", [contract])
        gone = {event for (event,) in cursor.fetchall()}
    lost = readback.events(since).lost
    assert gone
    assert all(any(event in words and "in no outbox" in words for words in lost) for event in gone), lost


def test_an_event_that_is_twice_in_the_outbox_or_was_received_twice_is_doubled(contract_since):
    copy = (
        "INSERT INTO {table} SELECT (r).* FROM (SELECT jsonb_populate_record(r, jsonb_build_object('id', %s::text{more})) AS r"
        " FROM {table} r WHERE {where}) AS copied"
    )
    chosen = "aggregate_id = %s AND consumer = 'workflow'"
    outbox = copy.format(table="contracts_outbox", more=", 'sequence', 2", where=chosen)
    received = copy.format(
        table="workflow_command",
        more="",
        where=f"key IN (SELECT event_id::text FROM contracts_outbox WHERE {chosen})",
    )
    execute(outbox, str(uuid.uuid4()), contract_since[1])
    execute(received, str(uuid.uuid4()), contract_since[1])
    assert sorted(words.split(" for workflow ")[1] for words in of(contract_since).doubled) == [
        "in the outbox: 2 instead of 1",
        "received: 2 instead of 1",
    ]


def test_a_gap_in_a_sequence_is_a_lost_event(contract_since):
    execute(
        "UPDATE contracts_outbox SET sequence = sequence + 5 WHERE aggregate_id = %s AND sequence > 1",
        contract_since[1],
    )
    execute(
        "INSERT INTO contracts_outbox SELECT (r).* FROM (SELECT jsonb_populate_record(r, jsonb_build_object("
        "'id', gen_random_uuid()::text, 'sequence', 4)) AS r FROM contracts_outbox r WHERE aggregate_id = %s AND sequence = 1) AS copied",
        contract_since[1],
    )
    assert any(f"events [2, 3] of {contract_since[1]}" in words for words in of(contract_since).lost)


def test_too_few_and_too_many_events_of_a_kind_are_reported(contract_since):
    expected = readback.kinds_of_events(contract_since[0])
    expected["contracts.contract_created", "workflow"] += 1
    expected["workflow.completed", "unknown"] = 1
    differences = readback.events(contract_since[0], expected)
    assert "events contracts.contract_created for workflow: 1 of 2" in differences.lost
    assert "events workflow.completed for unknown: 0 of 1" in differences.lost
    expected["contracts.contract_created", "workflow"] = 0
    assert (
        "events contracts.contract_created for workflow: 1 instead of 0"
        in readback.events(contract_since[0], expected).doubled
    )

"""Markers arrive although one database has rows that the other lacks; a change of such a row never would."""

from __future__ import annotations

from uuid import uuid4

import pytest

from apps.core.postgres import connections, replication
from apps.extraction.relocation import access
from apps.extraction.state.stages import Pair

NEVER = 10**12  # an epoch that no test reaches
ROW = "INSERT INTO {} (name, value, at) VALUES (%s, 1, clock_timestamp())"


@pytest.fixture
def table(service: str, following) -> str:
    return f"extraction.{replication.marker_of(service)}"


def names(connection: connections.Connection, table: str, beginning: str) -> list[str]:
    rows = connection.execute(f"SELECT name FROM {table} WHERE starts_with(name, %s)", [beginning]).fetchall()
    return [str(name) for (name,) in rows]


@pytest.mark.parametrize("side", ["shared", "own"])
def test_a_marker_arrives_where_one_side_alone_has_a_row(service: str, both: Pair, table: str, side: str):
    for name in ("left", "left@1"):  # the first is an earlier version's
        getattr(both, side).execute(ROW.format(table) + " ON CONFLICT DO NOTHING", [name])
    replication.beat(both.shared, both.own, service, seconds=20)  # what replicates has arrived
    both.own.execute(f"DELETE FROM {table} WHERE %s = 'shared'", [side])
    for _ in range(2):
        assert replication.beat(both.shared, both.own, service, seconds=20, name="left") < 20


def test_no_other_marker_counts(service: str, both: Pair, table: str):
    both.own.execute(ROW.format(table), [f"late@{uuid4().hex}"])
    with connections.control(service, options="") as other, other.transaction():
        other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")  # no marker arrives
        with pytest.raises(replication.TooSlow, match=rf"^the marker late@\w+ of {service} has not arrived in 0.1 s$"):
            replication.beat(both.shared, both.own, service, seconds=0.1, name="late")
    with both.own.transaction(force_rollback=True):
        both.own.execute(ROW.format(table), [access.closing_marker(NEVER + 1)])
        assert not replication.is_marked(both.own, service, access.closing_marker(NEVER))
        assert replication.is_marked(both.own, service, access.closing_marker(NEVER + 1))


def test_heartbeats_leave_no_rows(service: str, both: Pair, table: str):
    for _ in range(2):
        replication.beat(both.shared, both.own, service, seconds=20, name="passing")
    assert names(both.shared, table, "passing@") == []
    replication.beat(both.shared, both.own, service, seconds=20)
    assert names(both.own, table, "passing@") == []


def test_markers_of_killed_processes_are_forgotten_after_a_day(service: str, both: Pair, table: str):
    run = f"killed@{uuid4().hex}"
    for name, age in ((f"{run}1", "23 hours"), (f"{run}2", "25 hours")):
        both.shared.execute(ROW.format(table), [name])
        both.shared.execute(f"UPDATE {table} SET at = at - %s::interval WHERE name = %s", [age, name])
    replication.make_marker(both.shared, service)
    assert names(both.shared, table, run) == [f"{run}1"]


def test_a_restore_forgets_all_markers(service: str, both: Pair, table: str):
    with both.shared.transaction(force_rollback=True):
        both.shared.execute(ROW.format(table), [access.closing_marker(NEVER)])
        replication.forget_markers(both.shared)
        assert names(both.shared, table, "") == []

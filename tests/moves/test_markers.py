"""Markers arrive whatever rows either database was left with: a change of a row that the other lacks never would."""

from __future__ import annotations

import time

import pytest

from apps.core.postgres import connections, replication
from apps.extraction.state.stages import Pair

LATER = time.time_ns() + 10**15


@pytest.fixture
def table(service: str, following) -> str:
    return f"extraction.{replication.marker_of(service)}"


def test_a_marker_arrives_where_the_other_side_lost_a_row(service: str, both: Pair, table: str):
    replication.beat(both.shared, both.own, service, seconds=20, name="lost")
    both.own.execute(f"DELETE FROM {table}")
    replication.beat(both.shared, both.own, service, seconds=20, name="lost")


@pytest.mark.parametrize("name", ["kept", "kept@1"])
def test_a_marker_arrives_where_the_other_side_kept_a_row(service: str, both: Pair, table: str, name: str):
    both.own.execute(f"INSERT INTO {table} VALUES (%s, 1, clock_timestamp())", [name])
    replication.beat(both.shared, both.own, service, seconds=20, name="kept")


def test_a_marker_is_awaited_although_a_clock_was_ahead(service: str, both: Pair, table: str):
    for connection in (both.own, both.shared):
        connection.execute(f"INSERT INTO {table} VALUES (%s, %s, clock_timestamp())", [f"ahead@{connection}", LATER])
    with connections.control(service, options="") as other, other.transaction():
        other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")  # no marker arrives
        with pytest.raises(replication.TooSlow, match=f"of {service} has not arrived in 0.1 s"):
            replication.beat(both.shared, both.own, service, seconds=0.1, name="ahead")
    replication.beat(both.shared, both.own, service, seconds=20, name="ahead")


def test_markers_do_not_pile_up(service: str, both: Pair, table: str):
    replication.beat(both.shared, both.own, service, seconds=20, name="piled")
    both.shared.execute(f"UPDATE {table} SET at = at - interval '59 seconds' WHERE name LIKE 'piled@%'")
    replication.beat(both.shared, both.own, service, seconds=20, name="piled")
    assert [count(connection, table) for connection in both[1:]] == [2, 2]  # the earlier one may still be waited for
    both.shared.execute(f"UPDATE {table} SET at = at - interval '2 seconds' WHERE name LIKE 'piled@%'")
    replication.beat(both.shared, both.own, service, seconds=20, name="piled")
    assert [count(connection, table) for connection in both[1:]] == [2, 2]
    for connection in both[1:]:
        connection.execute(f"UPDATE {table} SET at = at - interval '1 day' WHERE name LIKE 'piled@%'")
        replication.make_marker(connection, service)
    assert [count(connection, table) for connection in both[1:]] == [0, 0]


def count(connection: connections.Connection, table: str) -> int:
    (rows,) = connection.execute(f"SELECT count(*) FROM {table} WHERE name LIKE 'piled@%'").fetchone()
    return int(rows)

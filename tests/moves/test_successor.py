"""Two copies of one service, one after the other: the first discards nothing of what the second has filled."""

from __future__ import annotations

from typing import Any

import pytest

from apps.datasync.gateways import row_copy, subscription, tables
from apps.datasync.interface import SyncStatus
from apps.datasync.logic.sync_worker import GivenUp
from apps.datasync.models import Sync
from tests.moves.conftest import settle, stop
from tests.moves.test_sync_worker import ROW, TABLE, record, runner


@pytest.fixture(autouse=True)
def nothing_left(service: str, both, prepared: str):
    settle(service)
    stop(service)
    yield
    both.own.execute(f"DELETE FROM {TABLE} WHERE method = 'bulk'")


def test_a_copy_that_ends_after_its_successor_began_leaves_the_successors_rows(service: str, both, monkeypatch):
    def give_up(*_: Any, **__: Any) -> None:
        with subscription.connect(service) as ends:
            chosen = tables.describe_all(ends.source, service, TABLE)
            row_copy.empty(ends.target, service, chosen, by="a successor")
            ends.target.execute(ROW, ["the successor's"])
        raise GivenUp("it ends")

    monkeypatch.setattr(row_copy, "copy", give_up)
    row = record(service)
    runner(row).run()
    assert both.own.execute(f"SELECT count(*) FROM {TABLE} WHERE key = 'the successor''s'").fetchone() == (1,)
    ended = Sync.objects.get(id=row.id)
    assert (ended.status, ended.error) == (
        SyncStatus.FAILED,
        f"another synchronisation fills the database of {service} by now",
    )
    with subscription.connect(service) as ends:
        row_copy.mend(ends.target, service)

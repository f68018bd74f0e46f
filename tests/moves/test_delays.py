"""The delay that a check says is in milliseconds, to a tenth."""

import pytest

from apps.core.postgres import replication
from apps.extraction.relocation import preconditions
from apps.extraction.state import stages
from apps.extraction.state.stages import Pair


@pytest.fixture
def delayed(following: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat arrives after a quarter of a second."""
    monkeypatch.setattr(replication, "beat", lambda *_, **__: 0.25)


@pytest.mark.usefixtures("delayed")
def test_of_the_services_own_database(both: Pair):
    check = preconditions.lag(both, stages.observe_with(both))
    assert (check.holds, check.seen.partition(",")[0]) == (True, "250.0 ms")


@pytest.mark.usefixtures("delayed")
def test_of_the_way_back(both: Pair, monkeypatch: pytest.MonkeyPatch):
    tables = set(replication.tables_of(both.own, "notifications"))
    monkeypatch.setattr(replication, "published", lambda *_: tables)
    monkeypatch.setattr(replication, "is_subscribed", lambda *_: True)
    check = preconditions.way_back(both, stages.observe_with(both))
    assert (check.holds, check.seen) == (True, "250.0 ms behind")

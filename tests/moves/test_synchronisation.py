"""Copying and comparing as the person who waits sees them: when they go on, when they end, what they say meanwhile."""

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from apps.core.ids import new_id
from apps.core.postgres import fences
from apps.datasync.interface import (
    Sync,
    SyncPhase,
    SyncStatus,
    SyncType,
    Verification,
    VerificationStatus,
)
from apps.extraction.relocation import actions, synchronisation
from apps.extraction.state import stages
from apps.extraction.state.action import DryRun, Run, Step
from apps.extraction.state.checks import Check, Refused
from apps.extraction.state.initiator import Initiator
from tests.moves.conftest import INITIATOR, return_to_shared

SERVICE = "notifications"
NOW = datetime(2026, 1, 9, tzinfo=UTC)
COPYING = Sync(
    sync_id=new_id(),
    source_table="",
    target_service=SERVICE,
    sync_type=SyncType.INCREMENTAL,
    status=SyncStatus.RUNNING,
    records_processed=10,
    records_total=40,
    started_at=NOW,
    finished_at=None,
    error="",
    phase=SyncPhase.COPYING,
    rows_per_second=5,
)
FOLLOWING = replace(COPYING, phase=SyncPhase.FOLLOWING, records_processed=40)
CURRENT = replace(FOLLOWING, lag_seconds=Decimal("0.01"))
COMPARING = Verification(
    verification_id=new_id(),
    target_service=SERVICE,
    status=VerificationStatus.RUNNING,
    rows_compared=7,
    rows_total=40,
    differences=1,
    backlog=0,
    rows_per_second=9,
    started_at=NOW,
    compared_at=None,
    checked_at=None,
    error="",
)
COMPARED = replace(COMPARING, compared_at=NOW, checked_at=NOW, rows_compared=40, differences=0)


class Datasync:
    """Answers with states in their order; the last one stays. Records what it was asked."""

    def __init__(self, syncs: list[Sync] = (), comparisons: list[Verification] = ()) -> None:
        self._syncs, self._comparisons = list(syncs), list(comparisons)
        self.asked: list[str] = []

    def _next(self, states: list[Any], name: str) -> Any:
        self.asked.append(name)
        return states.pop(0) if len(states) > 1 else states[0]

    def start(self, **_: object) -> Sync:
        return self._next(self._syncs, "start")

    def advance(self, **_: object) -> Sync:
        return self._next(self._syncs, "advance")

    def verify(self, *, anew: bool, **_: object) -> Verification:
        return self._next(self._comparisons, "verify anew" if anew else "verify")

    def verification(self, **_: object) -> Verification:
        return self._next(self._comparisons, "verification")


class Passage(Run):
    """A passage that does its steps and keeps what a record would."""

    def __init__(self, *, sync: Sync | None = None, anew: bool = False) -> None:
        self.lines: list[str] = []
        self.steps: list[str] = []
        self.facts: dict[str, Any] = {}
        super().__init__(SERVICE, Initiator("test", "pytest", write_line=self.lines.append), anew=anew)
        side = stages.Side("default", True, True, 1, 0, True, False)
        self.observed = stages.Observed(SERVICE, stages.Stage.SYNCING, side, None, sync, None)

    def do(self, step: Step, work: Callable[[], Any], detail: str = "") -> Any:
        self.steps.append(step.name)
        return work()

    def note(self, *, facts: dict[str, Any] | None = None, **fields: Any) -> None:
        self.facts |= facts or {}

    def write_line(self, line: str) -> None:
        self.lines.append(line)


def show_time(monkeypatch: pytest.MonkeyPatch, ticks: Iterable[float]) -> list[float]:
    """The clock shows these times, one at each look; returns the pauses that are slept meanwhile, all in seconds."""
    remaining, pauses = iter(ticks), []
    clock = SimpleNamespace(monotonic=lambda: next(remaining), sleep=pauses.append)
    monkeypatch.setattr(synchronisation, "time", clock)
    return pauses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second passes between two looks at the clock; the pauses between two questions are none."""
    show_time(monkeypatch, itertools.count(1000.0, 0.5))


@pytest.fixture
def datasync(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Datasync]:
    def answering(*syncs: Sync, comparisons: list[Verification] = ()) -> Datasync:
        scripted = Datasync(list(syncs), comparisons)
        monkeypatch.setattr(synchronisation, "call", lambda _: scripted)
        return scripted

    return answering


@pytest.mark.usefixtures("clock")
class TestTheCopy:
    def test_it_is_started_copied_and_followed_until_its_lag_is_known(self, datasync, monkeypatch):
        monkeypatch.setattr(synchronisation, "_start", lambda _: COPYING)
        answers = datasync(COPYING, FOLLOWING, FOLLOWING, CURRENT)
        run = Passage()
        synchronisation.sync(run)
        assert run.steps == ["start", "copy", "follow"]
        assert answers.asked == ["advance"] * 4
        assert run.facts == {"rows": 40, "rows_per_second": 5}

    def test_one_that_is_live_is_not_started_again(self, datasync, monkeypatch):
        monkeypatch.setattr(synchronisation, "_start", lambda _: pytest.fail("a second one is started"))
        answers = datasync(CURRENT)
        synchronisation.sync(Passage(sync=COPYING))
        assert answers.asked == ["advance"] * 2

    def test_progress_is_shown_each_second(self, datasync):
        datasync(*[COPYING] * 7, replace(COPYING, seconds_left=6), CURRENT)
        run = Passage()
        synchronisation._followed(SERVICE, COPYING.sync_id, run.initiator, until_current=True)
        line = "copying: 10 of about 40 rows, 5 rows/s"
        # Two looks at the clock when a line is shown, one when not: a line, three questions later the next.
        assert run.lines == [line, line, line]

    def test_what_is_left_is_shown_when_it_is_known(self, datasync):
        datasync(replace(COPYING, seconds_left=6), CURRENT)
        run = Passage()
        synchronisation._followed(SERVICE, COPYING.sync_id, run.initiator, until_current=True)
        assert run.lines == ["copying: 10 of about 40 rows, 5 rows/s, about 6 s left"]

    @pytest.mark.parametrize(
        ("status", "error", "words"),
        [
            (SyncStatus.FAILED, "the slot is lost", "failed the slot is lost"),
            (SyncStatus.PAUSED, "", "paused"),
            (SyncStatus.CANCELLED, "", "cancelled"),
        ],
    )
    def test_one_that_does_not_run_refuses_the_action(self, datasync, status, error, words):
        datasync(COPYING, replace(COPYING, status=status, error=error))
        with pytest.raises(Refused) as refused:
            synchronisation._followed(SERVICE, COPYING.sync_id, INITIATOR, until_current=False)
        assert refused.value.checks == [Check("synchronised", False, words)]

    def test_a_plan_asks_for_nothing(self, datasync):
        answers = datasync(COPYING)
        dry = DryRun(SERVICE)
        dry.observed = Passage().observed
        synchronisation.sync(dry)
        assert [step.name for step in dry.steps] == ["start", "copy", "follow"]
        assert answers.asked == []


@pytest.mark.usefixtures("clock")
class TestTheComparison:
    @pytest.fixture(autouse=True)
    def no_sync(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(stages, "live_sync", lambda *_: None)

    @pytest.mark.parametrize("anew", [False, True])
    def test_it_ends_when_every_row_and_what_changed_meanwhile_was_compared(self, datasync, monkeypatch, anew: bool):
        pauses = show_time(monkeypatch, itertools.count(0.0, 0.1))
        half = replace(COMPARED, checked_at=None)
        other = replace(COMPARED, compared_at=None)
        answers = datasync(comparisons=[COMPARING, half, other, COMPARED])
        run = Passage(anew=anew)
        synchronisation.verify(run)
        assert run.steps == ["compare"]
        assert answers.asked == ["verify anew" if anew else "verify", *["verification"] * 3]
        assert pauses == [0.1] * 3
        assert run.facts == {"rows": 40, "rows_per_second": 9, "differences": 0}
        assert run.lines == []

    def test_differences_are_written_out_with_their_place(self, datasync):
        datasync(comparisons=[replace(COMPARED, differences=2, status=VerificationStatus.FOLLOWING)])
        run = Passage()
        synchronisation.verify(run)
        where = "/api/v1/sync/verify/notifications/differences"
        assert run.lines == [f"2 rows differ: see {where} or the admin"]
        assert run.facts["differences"] == 2

    def test_progress_is_shown_each_second(self, datasync):
        datasync(comparisons=[*[COMPARING] * 5, COMPARED])
        run = Passage()
        synchronisation.verify(run)
        line = "compared: 7 of about 40 rows, 9 rows/s, 1 differ"
        assert run.lines == [line] * 2

    @pytest.mark.parametrize("status", [VerificationStatus.STOPPED, VerificationStatus.FAILED])
    def test_one_that_does_not_run_refuses_the_action(self, datasync, status: VerificationStatus):
        datasync(comparisons=[COMPARING, replace(COMPARING, status=status, error="gone")])
        with pytest.raises(Refused) as refused:
            synchronisation.verify(Passage())
        assert refused.value.checks == [Check("verified", False, f"{status} gone")]

    def test_it_gives_up_after_a_day(self, datasync, monkeypatch: pytest.MonkeyPatch):
        answers = datasync(comparisons=[COMPARING])
        day_seconds = 24 * 3600
        # Two looks at the beginning, then in each round one at the deadline and one for the progress.
        show_time(monkeypatch, [0, day_seconds, day_seconds, day_seconds, day_seconds + 1])
        with pytest.raises(Refused) as refused:
            synchronisation.verify(Passage())
        words = "running, 7 of about 40 rows compared after 24 h"
        assert refused.value.checks == [Check("verified", False, words)]
        assert answers.asked == ["verify", "verification"]

    def test_a_plan_asks_for_nothing(self, datasync):
        answers = datasync(comparisons=[COMPARED])
        dry = DryRun(SERVICE)
        synchronisation.verify(dry)
        assert [step.name for step in dry.steps] == ["compare"]
        assert answers.asked == []


def test_a_live_synchronisation_is_advanced_and_no_other(datasync, monkeypatch: pytest.MonkeyPatch):
    answers = datasync(CURRENT)
    monkeypatch.setattr(stages, "live_sync", lambda *_: CURRENT)
    synchronisation.advance(SERVICE)
    assert answers.asked == ["advance"]
    monkeypatch.setattr(stages, "live_sync", lambda *_: None)
    synchronisation.advance(SERVICE)
    assert answers.asked == ["advance"]


def test_its_calls_are_the_systems_and_wait_half_a_minute():
    ctx = synchronisation.system_ctx(SERVICE)
    assert ctx.actor.id is None
    assert 29_000 < ctx.remaining_ms() <= 30_000


class TestTheTables:
    """Made in the service's own database, unless it is being relocated."""

    @pytest.mark.usefixtures("prepared")
    def test_they_are_made_only_while_nothing_moves(self, both):
        return_to_shared(SERVICE)
        run = Passage()
        assert synchronisation.prepare_checks(run) == [Check("moving", True, "nothing moves")]
        fences.set_moving(both.own, SERVICE, moving=True)
        try:
            keeps = Check("moving", False, "its tables keep their shape")
            assert synchronisation.prepare_checks(run) == [keeps]
            with pytest.raises(Refused, match="keep their shape"):
                actions.PREPARE.perform(SERVICE, INITIATOR)
        finally:
            fences.set_moving(both.own, SERVICE, moving=False)

    @pytest.mark.usefixtures("prepared")
    def test_a_database_that_was_never_prepared_has_nothing_that_moves(self, both, monkeypatch: pytest.MonkeyPatch):
        both.own.execute("ALTER SCHEMA extraction RENAME TO other")
        try:
            (check,) = synchronisation.prepare_checks(Passage())
        finally:
            both.own.execute("ALTER SCHEMA other RENAME TO extraction")
        assert check.holds

"""An action's record: what it says of one that is done, refused or fails, and what leading means."""

from collections.abc import Callable

import pytest

from apps.core.postgres.leadership import AnotherLeads, leading
from apps.extraction.state import epochs, stages
from apps.extraction.state.action import Action, DryRun, Run, Step
from apps.extraction.state.checks import Check, Refused
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Stage

pytestmark = pytest.mark.usefixtures("prepared")
FIRST, SECOND = Step("first", "first: one"), Step("second", "second: two")
HOLDS, FAILS = Check("holds", True, "well"), Check("fails", False, "badly")


def action(procedure: Callable[[Run], None] = lambda _: None, *checks: Check, leads: bool = False) -> Action:
    return Action(
        name="probe",
        label="Probe",
        effect="",
        stages=(Stage.IN_PROCESS,),
        procedure=procedure,
        checks=lambda _: list(checks),
        leads=leads,
    )


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def initiator(lines: list[str]) -> Initiator:
    return Initiator("Иванова", "pytest", "проба", write_line=lines.append)


def last(service: str) -> Move:
    return Move.objects.filter(service=service, verb="probe").latest("started_at")


def test_what_is_done_is_recorded_with_steps_facts_and_checks(service: str, initiator: Initiator, lines: list[str]):
    def procedure(run: Run) -> None:
        assert run.do(FIRST, lambda: 7, "seven") == 7
        run.note(facts={"rows": 1}, attempts=2)
        run.note(facts={"bytes": 3})
        run.note(pause_ms=1.5)
        assert run.checks == [HOLDS]
        assert run.record_id == last(service).id
        assert not run.is_dry
        assert not run.anew

    move = action(procedure, HOLDS).perform(service, initiator)
    stored = Move.objects.get(id=move.id)
    assert (stored.outcome, stored.problem, stored.who, stored.where) == (Outcome.DONE, "", "Иванова", "pytest")
    assert (stored.facts, stored.attempts, stored.pause_ms) == ({"rows": 1, "bytes": 3}, 2, 1.5)
    assert stored.checks == [{"name": "holds", "holds": True, "seen": "well"}]
    assert [(step["step"], step["detail"]) for step in stored.steps] == [("first", "seven")]
    assert stored.ended_at > stored.started_at
    assert lines[0] == f"ok      {'holds':<18} well"
    assert lines[1].startswith("first ")


def test_a_refusal_changes_nothing_and_says_why(service: str, initiator: Initiator, lines: list[str]):
    def procedure(_: Run) -> None:
        pytest.fail("a refused action was done")

    with pytest.raises(Refused, match="fails: badly"):
        action(procedure, HOLDS, FAILS).perform(service, initiator)
    stored = last(service)
    assert (stored.outcome, stored.problem) == (Outcome.REFUSED, "fails: badly")
    assert [check["holds"] for check in stored.checks] == [True, False]
    assert lines[1].startswith("REFUSED fails")


def test_a_failure_is_recorded_whatever_it_is(service: str, initiator: Initiator):
    def procedure(run: Run) -> None:
        raise KeyboardInterrupt("Ctrl-C")

    with pytest.raises(KeyboardInterrupt):
        action(procedure).perform(service, initiator)
    stored = last(service)
    assert (stored.outcome, stored.problem) == (Outcome.FAILED, "KeyboardInterrupt: Ctrl-C")
    assert stored.checks == []


def test_one_that_leads_has_both_databases_and_an_epoch_of_its_own(service: str, initiator: Initiator, both):
    before = epochs.highest(both)
    seen: list[int] = []

    def procedure(run: Run) -> None:
        with run.both() as pair:
            assert pair is run.pair
        assert run.observed.service == service
        seen.append(run.epoch)
        with pytest.raises(AnotherLeads), leading(service, "another"):
            pytest.fail("two lead")

    action(procedure, leads=True).perform(service, initiator)
    assert seen == [before + 1]
    fences = [side.execute("SELECT epoch FROM extraction.fence WHERE service = %s", [service]) for side in both[1:]]
    assert [fence.fetchone() for fence in fences] == [(before + 1,)] * 2


def test_one_that_does_not_lead_runs_beside_another(service: str, initiator: Initiator, both):
    before = epochs.highest(both)

    def procedure(run: Run) -> None:
        assert run.epoch == 0
        with run.both() as pair:
            assert stages.observe_with(pair).service == service
        with pytest.raises(AssertionError, match="only an action that leads"):
            _ = run.pair

    with leading(service, "another"):
        assert action(procedure).perform(service, initiator).outcome == Outcome.DONE
    assert epochs.highest(both) == before


def test_a_plan_goes_the_same_way_and_does_nothing(service: str, both):
    def procedure(run: Run) -> None:
        for step in (FIRST, SECOND, FIRST):
            assert run.do(step, lambda: pytest.fail("a plan does a step")) is None
        assert run.is_dry

    records = Move.objects.filter(service=service).count()
    plan = action(procedure, HOLDS, FAILS, leads=True).plan(both)
    assert (plan.steps, plan.checks) == ((FIRST, SECOND), [HOLDS, FAILS])
    assert Move.objects.filter(service=service).count() == records


def test_a_plan_without_connections_opens_its_own(service: str):
    dry = DryRun(service)
    assert dry.observed.service == service
    with pytest.raises(AssertionError):
        _ = dry.pair


@pytest.fixture
def stale(service: str, both) -> int:
    held = epochs.take(both)
    epochs.take(both)
    return held


def test_a_leader_renews_the_epoch_that_it_holds_and_no_older_one(service: str, both, stale: int):
    with pytest.raises(epochs.StaleEpoch, match=f"epoch {stale} is stale"):
        epochs.renew(both, stale)
    held = epochs.highest(both)
    renewed = epochs.renew(both, held)
    assert renewed == held + 1
    assert epochs.highest(both) == renewed
    with pytest.raises(epochs.StaleEpoch):
        epochs.renew(both._replace(service="nothing"), 0)

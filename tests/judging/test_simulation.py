"""The simulation in small: few rollouts at fixed seeds, with bounds that a sound judge fails once in a million."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.extraction.routing.judge.evidence import LESS, MORE, Firsts, capital
from apps.extraction.routing.judge.measures import Event, Rules
from apps.extraction.routing.judge.ruling import Verdict
from benchmarks.judge import report, scenarios
from benchmarks.judge.draws import poisson
from benchmarks.judge.ledger import Ledger
from benchmarks.judge.observation import Observed
from benchmarks.judge.peers import MannWhitney, MinuteCounts, Thresholds
from benchmarks.judge.rollouts import OURS, Decided, rolled_out, staged
from benchmarks.judge.traffic import CANARY, NO_UNIT, REST, Happening, Step
from benchmarks.judge.worlds import World

NAIVE = "one-by-one"
SURE = 1e-6


def bound(rollouts, chance=0.01):
    """The fewest alarms that a judge of this error rate has in less than one of a million runs."""
    left, alarms = 1.0, 0
    while left > SURE:
        left -= math.comb(rollouts, alarms) * chance**alarms * (1 - chance) ** (rollouts - alarms)
        alarms += 1
    return alarms


def alarms(world, count, judge):
    return sum(rolled_out(world, f"light/{number}", (judge,))[judge] is not None for number in range(count))


@pytest.mark.parametrize(
    "healthy",
    [
        World(base=0.02, is_clustered=True, has_bursts=True, seconds=600),
        World(base=0.001, has_pairs=True, seconds=600),
        World(base=0.01, is_clustered=True, people=60, seconds=600),
    ],
    ids=["bursts and clusters", "pairs", "few people"],
)
def test_a_healthy_service_is_seldom_rolled_back(healthy):
    assert alarms(healthy, 60, OURS) < bound(60)


def test_the_bound_is_passed_by_a_judge_of_requests_one_by_one():
    world = World(base=0.02, is_clustered=True, has_pairs=True, people=60, seconds=900)
    assert alarms(world, 120, NAIVE) >= bound(120)
    assert alarms(world, 60, OURS) < bound(60)


def test_a_judge_with_a_wrong_share_is_caught():
    assert alarms(World(base=0.01, assumed_share=1.0, seconds=600), 40, OURS) >= bound(40)


def test_a_gross_failure_is_found_within_the_goal():
    world = World(base=0.001, failing=0.05, people=0, requests=50)
    requests = sorted(rolled_out(world, f"light/{number}", (OURS,))[OURS].requests for number in range(100))
    limit = scenarios.information_limit(0.001, 0.05)
    assert limit == pytest.approx(31.2, abs=0.1)
    # The median of a hundred: its own error is some 15 %, and 2.4 is five of them above what is measured with many.
    assert requests[50] <= 2.4 * limit


def test_a_healthy_rollout_goes_through_its_steps_and_a_failing_one_does_not():
    quick = World(requests=150, people=800)
    assert staged(quick, "light", (25, 50))[OURS] is None
    broken = staged(quick._replace(failing=0.2), "light", (25, 50))[OURS]
    assert broken.seconds < 60
    assert broken.reason == "errors"


def test_one_request_a_minute_never_goes_on():
    random = Random(1)
    observed = Observed(Rules(steps=(5, 100)), random)
    step = Step(World(people=0, requests=1 / 60), [], random, 5)
    observed.step(0, step, [], None)
    for minute in range(60):
        observed.period()
        for happening in step.minute(minute * 60, minute * 60 + 60):
            observed.happened(happening)
        observed.answered(step.well(minute * 60, minute * 60 + 60))
        assert observed.ruling(minute * 60 + 60).verdict in {Verdict.WATCHING, Verdict.NOT_KNOWN}
    assert observed.ruling(3_600).verdict is Verdict.NOT_KNOWN


@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=12), st.sampled_from([MORE, LESS]))
@settings(deadline=None, max_examples=60)
def test_the_ledger_is_the_judges_own_capital(periods, multiples):
    ledger, firsts = Ledger(multiples), []
    for number, sides in enumerate(periods):
        share = 0.05 if number < 5 else 0.2
        ledger.begin(share)
        for canary in sides:
            ledger.first(canary=canary)
        firsts.append(Firsts(share, sum(sides), len(sides) - sum(sides)))
        assert ledger.value == pytest.approx(capital(firsts, multiples), rel=1e-9)


def test_what_is_screened_for_is_never_less_than_what_the_judge_weighs():
    random = Random(5)
    observed = Observed(Rules(steps=(5, 100)), random)
    observed.step(0, Step(World(people=0), [], random, 5), [], None)
    events = [event for event in Event if event is not Event.SEEN]
    for minute in range(10):
        observed.period()
        for _ in range(15):
            group = CANARY if random.random() < 0.3 else REST
            event = random.choice(events)
            if event is Event.MISMATCHED:  # who differs was compared
                observed.happened(Happening(minute * 60.0, Event.COMPARED, group, NO_UNIT))
            observed.happened(Happening(minute * 60.0, event, group, NO_UNIT))
            assert observed.weight() >= observed.ruling(minute * 60.0).evidence["all"] * (1 - 1e-9)


@pytest.mark.parametrize("mean", [0.5, 5.0, 11.9, 12.1, 40.0, 3_000.0])
def test_poisson_counts_have_their_mean_and_variance(mean):
    random, count = Random(7), 4_000
    drawn = [poisson(random, mean) for _ in range(count)]
    middle = sum(drawn) / count
    assert abs(middle - mean) < 6 * math.sqrt(mean / count)
    variance = sum((value - middle) ** 2 for value in drawn) / count
    assert variance == pytest.approx(mean, rel=6 * math.sqrt((2 + 1 / mean) / count))


def test_thinned_traffic_has_the_calls_and_failures_that_it_should():
    world, random = World(people=0, base=0.01, requests=100), Random(3)
    step = Step(world, [], random, 5)
    failed = sum(happening.event is Event.ERROR for happening in step.minute(0, 600))
    well = sum(step.well(0, 600))
    assert abs(failed - 600) < 6 * math.sqrt(600)
    assert abs(well - 59_400) < 6 * math.sqrt(59_400)


def test_thresholds_count_failed_checks_and_forgive_none():
    bad, good, judge = MinuteCounts(100, 2), MinuteCounts(100, 1), Thresholds(2)
    assert [judge.minute(seen) for seen in (good, bad, good, MinuteCounts(0, 0), bad)] == [
        False,
        False,
        False,
        False,
        True,
    ]
    assert Thresholds(1).minute(MinuteCounts(100, 0, p99=501.0))


def test_mann_whitney_finds_what_is_always_higher_and_not_what_is_alike():
    judge = MannWhitney()
    assert any(
        judge.minute(MinuteCounts(1_000, 60 + minute), MinuteCounts(1_000, 10 + minute % 3)) for minute in range(8)
    )
    alike = MannWhitney()
    assert not any(
        alike.minute(MinuteCounts(1_000, 10 + minute % 3), MinuteCounts(1_000, 10 + (minute + 1) % 3))
        for minute in range(30)
    )


def test_the_report_names_missed_failures_and_goals():
    scenario = scenarios.Scenario("x", World(), judges=(OURS,), limit=100.0, of_limit=1.5)
    outcomes = [{OURS: Decided(number, 1.0, "errors")} for number in (90, 100, 140)] + [{OURS: None}]
    ours = report.summary(scenario, outcomes)[OURS]
    assert (ours["rollouts"], ours["alarms"], ours["median_requests"], ours["p90_requests"]) == (4, 3, 100, None)
    assert ours["goals"] == {"at most 1.5 of the limit": True}
    assert "yes" in report.table({"x": {OURS: ours}})

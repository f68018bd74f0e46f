"""One rollout: every judge gets the same traffic, second by second, until each has decided or the time is over."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from apps.extraction.routing.judge.measures import Event, Rules
from apps.extraction.routing.judge.ruling import Verdict
from benchmarks.judge.durations import Durations
from benchmarks.judge.ledger import OneByOne
from benchmarks.judge.observation import Observed
from benchmarks.judge.peers import MannWhitney, MinuteCounts, Thresholds
from benchmarks.judge.traffic import BASELINE, CANARY, REST, Happening, Step
from benchmarks.judge.worlds import Person, World, population

OURS = "landcontracts"
JUDGES = (OURS, "threshold-1", "threshold-5", "mann-whitney", "mann-whitney-home", "one-by-one")
# The judge is asked for promotion every so many seconds, for harm in each second.
PROMOTION_EACH_SECONDS = 60
# The ledger's capital equals the judge's up to rounding.
_ROUNDING = 1 - 1e-9


class Decided(NamedTuple):
    """When a judge rolled back: canary requests until then, seconds since the start, and the reason if it has one."""

    requests: int
    seconds: float
    reason: str = ""


Decisions = dict[str, Decided | None]


def rolled_out(world: World, seed: str, judges: tuple[str, ...] = JUDGES) -> Decisions:
    """Half an hour at one share, for all judges."""
    random = Random(seed)
    people = population(world, random)
    step = Step(world, people, random, world.share)
    return _Held(world, people, step, random, judges).decisions()


class _Held:
    """One step that is held for the whole rollout."""

    def __init__(self, world: World, people: list[Person], step: Step, random: Random, judges: tuple[str, ...]) -> None:
        self._world, self._step = world, step
        self._rules = Rules(steps=(world.share, 100.0))
        self._observed = Observed(self._rules, random)
        self._observed.step(0, step, [person.calls for person in people], world.assumed_share)
        self._durations = Durations(world.latency, people, step, random, self._rules) if world.latency else None
        self._one_by_one = OneByOne(step.canary_share_of_calls() or 1e-9, self._rules.false_rollback)
        self._thresholds = {f"threshold-{allowed}": Thresholds(allowed) for allowed in (1, 5)}
        self._equal, self._unequal = MannWhitney(), MannWhitney()
        self._decisions: Decisions = dict.fromkeys(judges)
        self._open = set(judges)
        self._since: list[Happening] = []
        self._failed = [0, 0, 0]
        self._succeeded = [0, 0, 0]
        self._requests = 0

    def decisions(self) -> Decisions:
        """The decision of each judge."""
        for number in range(self._world.seconds // 60):
            if not self._open:
                break
            self._minute(number)
        return self._decisions

    def _minute(self, number: int) -> None:
        start = number * 60
        happenings, ours, baseline = self._step.minute(start, start + 60), None, None
        if self._durations:
            slow, ours, baseline = self._durations.minute(number)
            happenings = sorted([*happenings, *slow], key=lambda happening: happening.moment)
        self._failed, self._succeeded = [0, 0, 0], [0, 0, 0]
        self._observed.period()
        self._one_by_one.begin()
        self._counted_until = float(start)
        at, count = 0, len(happenings)
        for second in range(start + 1, start + 61):
            begin = at
            while at < count and happenings[at].moment < second:
                self._take(happenings[at])
                at += 1
            if at > begin:
                self._ask_one_by_one(second)
            self._ask_ours(second)
        self._catch_up(start + 60)
        self._ask_the_rest(number, ours, baseline)

    def _take(self, happening: Happening) -> None:
        self._observed.happened(happening)
        if happening.event is Event.ERROR:
            self._failed[happening.group] += 1
            self._requests += happening.group == CANARY
            self._one_by_one.failed(canary=happening.group == CANARY)

    def _catch_up(self, second: float) -> None:
        if second > self._counted_until:
            counts = self._step.well(self._counted_until, second)
            self._observed.answered(counts)
            self._succeeded = [before + more for before, more in zip(self._succeeded, counts, strict=True)]
            self._requests += counts[CANARY]
            self._counted_until = second

    def _ask_ours(self, second: float) -> None:
        if OURS in self._open and self._observed.weight() >= _ROUNDING / self._rules.false_rollback:
            self._catch_up(second)
            ruling = self._observed.ruling(second)
            if ruling.verdict is Verdict.HARM:
                self._decide(OURS, second, ruling.reason)

    def _ask_one_by_one(self, second: float) -> None:
        if "one-by-one" in self._open and self._one_by_one.alarm:
            self._catch_up(second)
            self._decide("one-by-one", second)

    def _ask_the_rest(self, number: int, ours: float | None, baseline: float | None) -> None:
        counts = [
            MinuteCounts(well + failed, failed) for well, failed in zip(self._succeeded, self._failed, strict=True)
        ]
        canary, equal = counts[CANARY]._replace(p99=ours), counts[BASELINE]._replace(p99=baseline)
        local = MinuteCounts(counts[BASELINE].calls + counts[REST].calls, counts[BASELINE].errors + counts[REST].errors)
        second = (number + 1) * 60
        for name, thresholds in self._thresholds.items():
            if name in self._open and thresholds.minute(canary):
                self._decide(name, second)
        if "mann-whitney" in self._open and self._equal.minute(canary, equal):
            self._decide("mann-whitney", second)
        if "mann-whitney-home" in self._open and self._unequal.minute(canary, local):
            self._decide("mann-whitney-home", second)

    def _decide(self, judge: str, second: float, reason: str = "") -> None:
        self._decisions[judge] = Decided(self._requests, second, reason)
        self._open.discard(judge)


def staged(world: World, seed: str, steps: tuple[float, ...] = (1, 5, 25, 50)) -> Decisions:
    """A whole rollout by the judge's own rule for going on. The peers have other rules for that and take no part."""
    random = Random(seed)
    people = population(world, random)
    rules = Rules(steps=(*steps, 100.0))
    observed, total, requests, before = Observed(rules, random), 0.0, 0, 0.0
    for number, share in enumerate(steps):
        step = Step(world, people, random, share, before, counts_seen=True)
        observed.step(number, step, [person.calls for person in people], world.assumed_share)
        seconds, outcome, reason = _led(observed, step)
        total, requests, before = total + seconds, requests + observed.canary_calls, share
        if outcome == Verdict.HARM:
            return {OURS: Decided(requests, total, reason)}
        if outcome != Verdict.CLEAR:
            break
    return {OURS: None}


def _led(observed: Observed, step: Step) -> tuple[float, str, str]:
    rules, counted_until = observed.rules, 0.0
    for start in range(0, rules.patience_seconds, 60):
        happenings, at = step.minute(start, start + 60), 0
        observed.period()
        for second in range(start + 1, start + 61):
            while at < len(happenings) and happenings[at].moment < second:
                observed.happened(happenings[at])
                at += 1
            may_go_on = second >= rules.step_seconds and second % PROMOTION_EACH_SECONDS == 0
            if may_go_on or observed.weight() >= _ROUNDING / rules.false_rollback:
                observed.answered(step.well(counted_until, second))
                counted_until = second
                ruling = observed.ruling(second)
                if ruling.verdict in {Verdict.HARM, Verdict.CLEAR}:
                    return second, ruling.verdict, ruling.reason
    return rules.patience_seconds, Verdict.NOT_KNOWN, ""

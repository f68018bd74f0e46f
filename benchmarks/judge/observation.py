"""What the judge is shown of the traffic: counts per event and period, kept as the control plane keeps them."""

from __future__ import annotations

from collections import deque
from random import Random

from apps.extraction.routing.judge import evidence
from apps.extraction.routing.judge.evidence import Firsts
from apps.extraction.routing.judge.measures import Event, Rules
from apps.extraction.routing.judge.ruling import Calls, Observation, Ruling, rule
from benchmarks.judge.draws import poisson
from benchmarks.judge.ledger import Ledgers
from benchmarks.judge.traffic import CANARY, NOBODY, Happening, Step

_OFTEN = 10  # of so many calls three fail: the event ERRORS
_NEVER = 60.0  # so many calls in between on average are never fewer than ten


class Observed:
    """The counts of a whole rollout, and the ruling on them."""

    def __init__(self, rules: Rules, random: Random) -> None:
        self.rules = rules
        self.ledgers = Ledgers()
        self._periods: dict[Event, list[tuple[float, list[int]]]] = {event: [] for event in Event}
        self._random = random
        self._told = 0.0
        self._calls = [0, 0]
        self._errors = [0, 0]
        self._is_changed = True
        self._weight = 1.0

    def step(self, number: int, step: Step, rates: list[float], told_share: float | None) -> None:
        """A new step: firsts are counted anew, capital goes on."""
        self._number, self._step, self._rates = number, step, rates
        before = step.before
        self._told = (told_share if told_share is not None else (step.share - before) / (100 - before) * 100) / 100
        self._calls, self._errors = [0, 0], [0, 0]
        self._failed: dict[int, tuple[float, int, deque[int]]] = {}
        self._has_errors: set[int] = set()
        self._in_step = {event: [0, 0] for event in Event}
        self._mismatches = 1.0
        self._is_changed = True

    def period(self) -> None:
        """A minute begins."""
        for event in Event:
            self._periods[event].append((self._told, [0, 0]))
        self.ledgers.begin(self._told)
        self._is_changed = True

    def happened(self, happening: Happening) -> None:
        """Count it, if it is a unit's first."""
        side = 0 if happening.group == CANARY else 1
        if happening.event is Event.ERROR:
            self._errors[side] += 1
            self._calls[side] += 1
            if not self._step.counted(happening.unit):
                return
            if happening.unit != NOBODY and not self._again(happening, side):
                return
        self._first(happening.event, side)

    def answered(self, counts: list[int]) -> None:
        """So many more calls of each group did not fail."""
        self._calls[0] += counts[CANARY]
        self._calls[1] += sum(counts) - counts[CANARY]

    def weight(self) -> float:
        """The evidence, before any clause takes something off, and at least that: what compares well is taken off later."""
        if self._is_changed:
            self._weight, self._is_changed = self.ledgers.value(self._mismatches), False
        return self._weight

    @property
    def canary_calls(self) -> int:
        """Calls of the canary in the present step."""
        return self._calls[0]

    def ruling(self, seconds: float) -> Ruling:
        """What the judge says."""
        return rule(self.rules, self._observation(seconds))

    def _first(self, event: Event, side: int) -> None:
        self._in_step[event][side] += 1
        self._periods[event][-1][1][side] += 1
        if event is Event.COMPARED:
            return  # it can only speak for the canary
        self._is_changed = True
        if event is Event.MISMATCHED:
            counts = sum(self._in_step[Event.MISMATCHED]), sum(self._in_step[Event.COMPARED])
            self._mismatches = evidence.above(*counts, self.rules.allowed_mismatches)
        else:
            self.ledgers.first(event, canary=side == 0)

    def _again(self, happening: Happening, side: int) -> bool:
        """Whether this is the unit's first failure; three within ten calls are an event of their own."""
        moment, unit = happening.moment, happening.unit
        known = self._failed.get(unit)
        if known is None:
            self._failed[unit] = (moment, 0, deque([0], maxlen=3))
            return True
        if unit not in self._has_errors:
            since, number, last = known
            between = self._rates[unit] * (moment - since)
            number += 1 + (_OFTEN if between > _NEVER else poisson(self._random, between))
            last.append(number)
            self._failed[unit] = (moment, number, last)
            if len(last) == 3 and number - last[0] < _OFTEN:
                self._has_errors.add(unit)
                self._first(Event.ERRORS, side)
        return False

    def _observation(self, seconds: float) -> Observation:
        seen = self._in_step[Event.SEEN]
        if not self._step.groups:
            seen = self._calls
        elif not sum(seen):  # a step that is held from the start: everybody is there
            canary = sum(group == CANARY for group in self._step.groups)
            seen = [canary, len(self._step.groups) - canary]
        return Observation(
            step=self._number,
            seconds=seconds,
            firsts={
                event: [Firsts(share, *counts) for share, counts in periods] for event, periods in self._periods.items()
            },
            canary=Calls(self._calls[0], self._errors[0]),
            local=Calls(self._calls[1], self._errors[1]),
            canary_units=seen[0],
            local_units=seen[1],
            failing_units=self._in_step[Event.ERROR][0],
            local_failing_units=self._in_step[Event.ERROR][1],
            compared=sum(self._in_step[Event.COMPARED]),
            mismatched=sum(self._in_step[Event.MISMATCHED]),
            is_shadowed=True,
            observed_ago=0.5,
            missed=0.0,
            is_flag_ours=True,
        )

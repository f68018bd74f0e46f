"""The judge's input from the traffic: counts per event and period, as the control plane keeps them."""

from __future__ import annotations

from collections import deque
from random import Random

from apps.extraction.routing.judge import evidence
from apps.extraction.routing.judge.evidence import Firsts
from apps.extraction.routing.judge.measures import Event, Rules
from apps.extraction.routing.judge.ruling import Calls, Observation, Ruling, rule
from benchmarks.judge.draws import poisson
from benchmarks.judge.ledger import Ledgers
from benchmarks.judge.traffic import CANARY, NO_UNIT, Happening, Step

_OFTEN = 10  # three failures within so many calls are the event ERRORS
_NEVER = 60.0  # with so many calls in between on average there are never fewer than ten


class Observed:
    """The counts of a whole rollout, and the ruling on them."""

    def __init__(self, rules: Rules, random: Random) -> None:
        self.rules = rules
        self.ledgers = Ledgers()
        self._periods: dict[Event, list[tuple[float, list[int]]]] = {event: [] for event in Event}
        self._random = random
        self._canary_part = 0.0
        self._calls = [0, 0]
        self._errors = [0, 0]
        self._is_changed = True
        self._weight = 1.0

    def step(self, number: int, step: Step, rates: list[float], assumed_share: float | None) -> None:
        """Begin a step: firsts are counted anew, the capital continues."""
        self._number, self._step, self._rates = number, step, rates
        before = step.before
        self._canary_part = (
            assumed_share if assumed_share is not None else (step.share - before) / (100 - before) * 100
        ) / 100
        self._calls, self._errors = [0, 0], [0, 0]
        self._failed: dict[int, tuple[float, int, deque[int]]] = {}
        self._has_errors: set[int] = set()
        self._in_step = {event: [0, 0] for event in Event}
        self._mismatches = 1.0
        self._is_changed = True

    def period(self) -> None:
        """Begin a period of a minute."""
        for event in Event:
            self._periods[event].append((self._canary_part, [0, 0]))
        self.ledgers.begin(self._canary_part)
        self._is_changed = True

    def happened(self, happening: Happening) -> None:
        """Count a happening, if it is the unit's first."""
        side = 0 if happening.group == CANARY else 1
        if happening.event is Event.ERROR:
            self._errors[side] += 1
            self._calls[side] += 1
            if not self._step.counted(happening.unit):
                return
            if happening.unit != NO_UNIT and not self._again(happening, side):
                return
        self._first(happening.event, side)

    def answered(self, counts: list[int]) -> None:
        """Add the calls of each group that did not fail."""
        self._calls[0] += counts[CANARY]
        self._calls[1] += sum(counts) - counts[CANARY]

    def weight(self) -> float:
        """An upper bound of the evidence: before any clause reduces it, and before matching comparisons do."""
        if self._is_changed:
            self._weight, self._is_changed = self.ledgers.value(self._mismatches), False
        return self._weight

    @property
    def canary_calls(self) -> int:
        """Calls of the canary in the present step."""
        return self._calls[0]

    def ruling(self, seconds: float) -> Ruling:
        """The judge's ruling after so many seconds of the step."""
        return rule(self.rules, self._observation(seconds))

    def _first(self, event: Event, side: int) -> None:
        self._in_step[event][side] += 1
        self._periods[event][-1][1][side] += 1
        if event is Event.COMPARED:
            return  # it can only reduce the evidence
        self._is_changed = True
        if event is Event.MISMATCHED:
            counts = sum(self._in_step[Event.MISMATCHED]), sum(self._in_step[Event.COMPARED])
            self._mismatches = evidence.above(*counts, self.rules.allowed_mismatches)
        else:
            self.ledgers.first(event, canary=side == 0)

    def _again(self, happening: Happening, side: int) -> bool:
        """Whether this is the unit's first failure; three within ten calls are an event of their own."""
        moment, unit = happening.moment, happening.unit
        failures = self._failed.get(unit)
        if failures is None:
            self._failed[unit] = (moment, 0, deque([0], maxlen=3))
            return True
        if unit not in self._has_errors:
            since, number, last = failures
            between = self._rates[unit] * (moment - since)
            number += 1 + (_OFTEN if between > _NEVER else poisson(self._random, between))
            last.append(number)
            self._failed[unit] = (moment, number, last)
            if len(last) == 3 and number - last[0] < _OFTEN:
                self._has_errors.add(unit)
                self._first(Event.ERRORS, side)
        return False

    def _observation(self, seconds: float) -> Observation:
        units = self._in_step[Event.SEEN]
        if not self._step.groups:
            units = self._calls
        elif not sum(units):  # a step that is held from the start: all units are in it
            canary = sum(group == CANARY for group in self._step.groups)
            units = [canary, len(self._step.groups) - canary]
        return Observation(
            step=self._number,
            seconds=seconds,
            firsts={
                event: [Firsts(share, *counts) for share, counts in periods] for event, periods in self._periods.items()
            },
            canary=Calls(self._calls[0], self._errors[0]),
            local=Calls(self._calls[1], self._errors[1]),
            canary_units=units[0],
            local_units=units[1],
            failing_units=self._in_step[Event.ERROR][0],
            local_failing_units=self._in_step[Event.ERROR][1],
            compared=sum(self._in_step[Event.COMPARED]),
            mismatched=sum(self._in_step[Event.MISMATCHED]),
            is_shadowed=True,
            observed_ago=0.5,
            missed=0.0,
            is_flag_ours=True,
        )

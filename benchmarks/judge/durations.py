"""Durations of calls: two methods, heavy-tailed, different by person, drifting over the half hour; and slow calls.

Calls of the canary and of an equally large baseline are drawn one by one, for their P99. For the other local people
only the first slow call is drawn, from its probability.
"""

from __future__ import annotations

import math
from bisect import bisect
from itertools import accumulate
from random import Random

from apps.extraction.routing.judge.measures import Event, Rules
from benchmarks.judge import worlds
from benchmarks.judge.draws import poisson
from benchmarks.judge.traffic import BASELINE, CANARY, Happening, Step
from benchmarks.judge.worlds import Person, Slower

# Part of calls, median in ms, sigma of the logarithm.
METHODS = ((0.75, 20.0, 0.6), (0.25, 60.0, 0.7))
TAIL_Z = 2.0537489106318225  # the slowest 2 % of a normal variable lie beyond
SAMPLE = 3_000
SAMPLE_MINUTES = 5


class Durations:
    """The durations of a step's calls."""

    def __init__(self, slower: Slower, people: list[Person], step: Step, random: Random, rules: Rules) -> None:
        self._slower, self._people, self._step, self._random, self._rules = slower, people, step, random, rules
        self._phase = random.uniform(0.0, 2 * math.pi)
        self._local = [unit for unit, group in enumerate(step.groups) if group != CANARY]
        self._local_ends = list(accumulate(people[unit].calls for unit in self._local))
        self._drawn = [unit for unit, group in enumerate(step.groups) if group in (CANARY, BASELINE)]
        self._has = {Event.SLOW: set[int](), Event.VERY_SLOW: set[int]()}
        self._bounds: list[tuple[float, float]] = []

    def minute(self, number: int) -> tuple[list[Happening], float | None, float | None]:
        """The first slow calls of a minute, and P99 of the canary and of the baseline in ms."""
        drift = 0.3 * math.sin(2 * math.pi * number / 30 + self._phase)
        if number % SAMPLE_MINUTES == 0:
            self._bounds = [self._quantiles(method, drift) for method in range(len(METHODS))]
        happenings: list[Happening] = []
        ours: list[float] = []
        baseline: list[float] = []
        for unit in self._drawn:
            self._calls(unit, number, drift, happenings, ours if self._step.groups[unit] == CANARY else baseline)
        for unit in self._local:
            if self._step.groups[unit] != BASELINE and unit not in self._has[Event.VERY_SLOW]:
                self._first(unit, number, drift, happenings)
        return happenings, _p99(ours), _p99(baseline)

    def _quantiles(self, method: int, drift: float) -> tuple[float, float]:
        """The bounds of slow and of very slow calls, as an observer estimates them from calls of the last minutes."""
        _, median, sigma = METHODS[method]
        total, sample = self._local_ends[-1], []
        for _ in range(SAMPLE):
            at = min(bisect(self._local_ends, self._random.random() * total), len(self._local) - 1)
            effect = self._people[self._local[at]].effect
            sample.append(median * math.exp(drift + effect + sigma * self._random.gauss(0, 1)))
        sample.sort()
        return sample[int((1 - worlds.SLOW) * SAMPLE)], sample[int((1 - worlds.VERY_SLOW) * SAMPLE)]

    def _calls(self, unit: int, number: int, drift: float, happenings: list[Happening], into: list[float]) -> None:
        person, random, slower = self._people[unit], self._random, self._slower
        canary = self._step.groups[unit] == CANARY
        for _ in range(poisson(random, person.calls * 60)):
            method = 0 if random.random() < METHODS[0][0] else 1
            _, median, sigma = METHODS[method]
            z = random.gauss(0, 1)
            took = median * math.exp(drift + person.effect + sigma * z)
            if canary:
                took = took * slower.times * (slower.tail_times if z > TAIL_Z else 1.0) + slower.plus
            into.append(took)
            compared = (took - self._rules.allowed_slower_ms) / (1 + self._rules.allowed_slower) if canary else took
            for event, bound in zip((Event.SLOW, Event.VERY_SLOW), self._bounds[method], strict=True):
                if compared > bound and unit not in self._has[event]:
                    self._has[event].add(unit)
                    happenings.append(Happening((number + random.random()) * 60, event, self._step.groups[unit], unit))

    def _first(self, unit: int, number: int, drift: float, happenings: list[Happening]) -> None:
        person = self._people[unit]
        slow = very = 0.0
        for (part, median, sigma), bounds in zip(METHODS, self._bounds, strict=True):
            for place, bound in enumerate(bounds):
                z = (math.log(bound / median) - drift - person.effect) / sigma
                chance = part * math.erfc(z / math.sqrt(2)) / 2
                slow, very = (slow + chance, very) if place == 0 else (slow, very + chance)
        very_first = self._random.expovariate(person.calls * 60 * very)
        slow_first = min(very_first, self._random.expovariate(person.calls * 60 * max(slow - very, 1e-12)))
        for event, first in ((Event.SLOW, slow_first), (Event.VERY_SLOW, very_first)):
            if first < 1 and unit not in self._has[event]:
                self._has[event].add(unit)
                happenings.append(Happening((number + first) * 60, event, self._step.groups[unit], unit))


def _p99(durations: list[float]) -> float | None:
    return sorted(durations)[int(0.99 * len(durations))] if durations else None

"""The calls of one step of a rollout. Only calls with an event are drawn one by one; the others are counted.

A thinned Poisson process is Poisson again: failures are drawn at their own rate, and the calls between two moments that
did not fail are a Poisson count. So it is the same traffic as if each call were drawn, at a thousandth of the work.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple

from apps.extraction.routing.judge.measures import Event
from benchmarks.judge import worlds
from benchmarks.judge.draws import moments, poisson
from benchmarks.judge.worlds import Person, World

CANARY, BASELINE, REST = 0, 1, 2
NO_UNIT = -1


class Happening(NamedTuple):
    """An event that happened to a unit; `unit` is NO_UNIT if each request has a unit of its own."""

    moment: float
    event: Event
    group: int
    unit: int


class _Rates(NamedTuple):
    """Constant rates: failures per second, cumulated over `units`, and other calls per second by group."""

    ends: list[float]
    units: list[int]
    well: tuple[float, float, float]


class Step:
    """The traffic of one step. The side of each person was drawn before, by their place."""

    def __init__(
        self,
        world: World,
        people: list[Person],
        random: Random,
        share: float,
        before: float = 0.0,
        *,
        counts_seen: bool = False,
    ) -> None:
        self._world, self._people, self._random, self._counts_seen = world, people, random, counts_seen
        self.share, self.before = share, before
        self.groups = [self._group(person) for person in people]
        self._rates: dict[tuple[bool, bool], _Rates] = {}
        edges = {0.0, float(world.seconds), *world.edges(world.seconds)}
        self._bursts = worlds.bursts(world, random, world.seconds)
        for burst in self._bursts:
            edges.update(moment for moment in burst if moment < world.seconds)
        self._edges = sorted(edges)
        self._others = sorted(self._firsts_of_people())
        self._next = 0

    def _group(self, person: Person) -> int:
        if person.place < self.share:
            return CANARY
        return BASELINE if person.place < 2 * self.share else REST

    def counted(self, unit: int) -> bool:
        """Whether a unit was not on the canary's side before this step."""
        return unit == NO_UNIT or self._people[unit].place >= self.before

    def canary_share_of_calls(self) -> float:
        """The canary's true share of calls."""
        if not self._people:
            return self.share / 100
        on_canary = sum(
            person.calls for person, group in zip(self._people, self.groups, strict=True) if group == CANARY
        )
        return on_canary / sum(person.calls for person in self._people)

    def well(self, start: float, end: float) -> list[int]:
        """The number of calls of each group that did not fail in a span of time. Call it once for each span."""
        sums = [0.0, 0.0, 0.0]
        for left, right in self._spans(start, end):
            rates = self._at(left).well
            for group in (CANARY, BASELINE, REST):
                sums[group] += rates[group] * (right - left)
        return [poisson(self._random, mean) for mean in sums]

    def minute(self, start: float, end: float) -> list[Happening]:
        """The happenings in a span of time, in order. Call it once for each span, one after the other."""
        happenings: list[Happening] = []
        for left, right in self._spans(start, end):
            rates = self._at(left)
            total = rates.ends[-1] if rates.ends else 0.0
            for moment in moments(self._random, total, left, right):
                at = min(bisect(rates.ends, self._random.random() * total), len(rates.units) - 1)
                happenings += self._failure(moment, rates.units[at])
        if not self._people:
            happenings += self._without_units(start, end)
        while self._next < len(self._others) and self._others[self._next].moment < end:
            happenings.append(self._others[self._next])
            self._next += 1
        happenings.sort(key=lambda happening: happening.moment)
        return happenings

    def _failure(self, moment: float, unit: int) -> list[Happening]:
        if not self._people:
            return [Happening(moment, Event.ERROR, unit, NO_UNIT)]
        happenings = [Happening(moment, Event.ERROR, self.groups[unit], unit)]
        if self._world.has_pairs and self._random.random() < 0.8:
            happenings.append(Happening(moment, Event.ERROR, self.groups[unit ^ 1], unit ^ 1))
        return happenings

    def _spans(self, start: float, end: float) -> list[tuple[float, float]]:
        inside = [edge for edge in self._edges if start < edge < end]
        points = [start, *inside, end]
        return list(pairwise(points))

    def _at(self, moment: float) -> _Rates:
        key = (self._world.is_failing(moment), any(start <= moment < end for start, end in self._bursts))
        if key not in self._rates:
            self._rates[key] = self._of_people(*key) if self._people else self._of_requests(*key)
        return self._rates[key]

    def _of_people(self, failing: bool, burst: bool) -> _Rates:
        well, failed = [0.0, 0.0, 0.0], []
        for person, group in zip(self._people, self.groups, strict=True):
            rate = min(person.errors * (worlds.BURST if burst else 1.0), 1.0)
            if failing and group == CANARY:
                rate = 1.0 if person.broken else max(rate, self._world.failing or 0.0)
            failed.append(person.calls * rate)
            well[group] += person.calls * (1 - rate)
        return _Rates(list(accumulate(failed)), list(range(len(failed))), (well[0], well[1], well[2]))

    def _of_requests(self, failing: bool, burst: bool) -> _Rates:
        part = self.share / 100
        calls = [part, min(part, 1 - part), max(1 - 2 * part, 0.0)]
        base = min(self._world.base * (worlds.BURST if burst else 1.0), 1.0)
        rates = [max(self._world.failing or 0.0, base) if failing else base, base, base]
        calls = [self._world.requests * value for value in calls]
        failed = [value * rate for value, rate in zip(calls, rates, strict=True)]
        well = [value * (1 - rate) for value, rate in zip(calls, rates, strict=True)]
        return _Rates(list(accumulate(failed)), [CANARY, BASELINE, REST], (well[0], well[1], well[2]))

    def _without_units(self, start: float, end: float) -> list[Happening]:
        random, requests, happenings = self._random, self._world.requests, []
        for event, rate in (
            (Event.SLOW, worlds.SLOW),
            (Event.REFUSED, worlds.REFUSED),
            (Event.ACCEPTED, worlds.ACCEPTED),
        ):
            for moment in moments(random, requests * rate, start, end):
                group = CANARY if random.random() * 100 < self.share else REST
                happenings.append(Happening(moment, event, group, NO_UNIT))
                if event is Event.SLOW and random.random() < worlds.VERY_SLOW / worlds.SLOW:
                    happenings.append(Happening(moment, Event.VERY_SLOW, group, NO_UNIT))
        return happenings

    def _firsts_of_people(self) -> list[Happening]:
        """The first happening of each event that counts only once. Latency has a module of its own."""
        world, draw, end, happenings = self._world, self._random.expovariate, self._world.seconds, []
        for unit, (person, group) in enumerate(zip(self._people, self.groups, strict=True)):
            if person.place < self.before:
                continue
            accepted = worlds.ACCEPTED * (world.accepted if group == CANARY else 1.0)
            rates = [(Event.ACCEPTED, accepted), (Event.REFUSED, person.refused)]
            if self._counts_seen:
                rates.append((Event.SEEN, 1.0))
            if not world.latency:
                rates.append((Event.SLOW, person.slow))
            for event, rate in rates:
                moment = draw(person.calls * rate)
                if moment >= end:
                    continue
                happenings.append(Happening(moment, event, group, unit))
                if event is Event.SLOW:
                    # Each slow call is very slow with the same chance: the first of those comes some calls later.
                    moment += draw(person.calls * rate * worlds.VERY_SLOW / worlds.SLOW)
                    if moment < end:
                        happenings.append(Happening(moment, Event.VERY_SLOW, group, unit))
            moment = draw(person.calls * worlds.COMPARED)
            if moment < end:
                happenings.append(Happening(moment, Event.COMPARED, group, unit))
                if self._random.random() < max(world.noise, world.mismatching):
                    happenings.append(Happening(moment, Event.MISMATCHED, group, unit))
        return happenings

"""The simulated worlds: a service, its people, and the effects of a canary on them."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

# Defaults for calls on both sides: shares of calls.
SLOW = 0.05
VERY_SLOW = 0.001
ACCEPTED = 0.20
REFUSED = 0.02
COMPARED = 0.06  # a tenth of the queries
# In a burst both sides' failures are so many times as frequent; bursts come every ten minutes and last up to a minute.
BURST = 20.0
BURSTS_PER_SECOND = 1 / 600
BURST_SECONDS = (2.0, 60.0)


class Slower(NamedTuple):
    """The canary's effect on a call's duration: `times`, `plus` (ms), and `tail_times` for the slowest 2 % only."""

    times: float = 1.0
    plus: float = 0.0
    tail_times: float = 1.0


class World(NamedTuple):
    """One kind of rollout. Rates are shares of calls if not stated otherwise.

    `people` of 0 gives every request a unit of its own. `failing` is the canary's error rate from `since` seconds on,
    `on_seconds` of each `every_seconds`; `failing_people` is the share of people for whom every call fails there.
    `masked` adds one local person who makes a tenth as many calls as all others together and fails in each.
    """

    base: float = 0.001
    people: int = 400
    requests: float = 75.0
    share: float = 5.0
    is_clustered: bool = False
    has_bursts: bool = False
    has_pairs: bool = False
    failing: float | None = None
    failing_people: float = 0.0
    since: float = 0.0
    on_seconds: float = 0.0
    every_seconds: float = 0.0
    noise: float = 0.004
    mismatching: float = 0.0
    accepted: float = 1.0
    latency: Slower | None = None
    masked: bool = False
    assumed_share: float | None = None
    seconds: int = 1_800

    def is_failing(self, moment: float) -> bool:
        """Whether the canary fails at a moment."""
        if moment < self.since or (self.failing is None and not self.failing_people):
            return False
        return not self.every_seconds or (moment - self.since) % self.every_seconds < self.on_seconds

    def edges(self, end: float) -> list[float]:
        """The moments, s, at which `is_failing` may change."""
        moments = [self.since] if 0 < self.since < end else []
        if self.every_seconds:
            start = self.since
            while start < end:
                moments += [start, start + self.on_seconds]
                start += self.every_seconds
        return [moment for moment in moments if 0 < moment < end]


class Person(NamedTuple):
    """One person: their place by hash (0 to 100), calls per second, and the rates of events among their calls."""

    place: float
    calls: float
    errors: float
    slow: float
    refused: float
    effect: float
    broken: bool


def population(world: World, random: Random) -> list[Person]:
    """Draw the people. Activity and failures are heavy-tailed if clustered: a few people have 30 to 100 % failures."""
    activity = [
        min(random.paretovariate(1.2), 200.0) if world.is_clustered or world.latency else 1.0
        for _ in range(world.people)
    ]
    scale = world.requests / (sum(activity) or 1.0)
    people = []
    for weight in activity:
        errors, slow, refused, effect = world.base, SLOW, REFUSED, 0.0
        if world.is_clustered:
            # Half of all failures come from people for whom 65 % of calls fail on average, the rest from all people.
            errors = random.uniform(0.3, 1.0) if random.random() < world.base / 1.3 else world.base / 2
            slow = min(SLOW * random.lognormvariate(-0.5, 1.0), 1.0)
            refused = min(REFUSED * random.lognormvariate(-1.125, 1.5), 1.0)
        if world.latency:
            effect = random.gauss(0.0, 0.35)
        broken = random.random() < world.failing_people
        people.append(Person(random.random() * 100, weight * scale, errors, slow, refused, effect, broken))
    if world.masked:
        people[0] = Person(99.9, world.requests / 10, 1.0, SLOW, REFUSED, 0.0, broken=False)
    return people


def bursts(world: World, random: Random, seconds: float) -> list[tuple[float, float]]:
    """The begin and end of each burst, s."""
    spans: list[tuple[float, float]] = []
    moment = random.expovariate(BURSTS_PER_SECOND) if world.has_bursts else math.inf
    while moment < seconds:
        end = moment + random.uniform(*BURST_SECONDS)
        spans.append((moment, end))
        moment = end + random.expovariate(BURSTS_PER_SECOND)
    return spans

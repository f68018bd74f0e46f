"""What is simulated: the service, its people, and what the canary does to them."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

# What is true of calls on both sides, wherever a world does not say otherwise: shares of calls.
SLOW = 0.05
VERY_SLOW = 0.001
ACCEPTED = 0.20
REFUSED = 0.02
COMPARED = 0.06  # a tenth of the queries
# Both sides' failures are so many times as frequent in a burst, which comes every ten minutes and lasts seconds to a minute.
BURST = 20.0
BURSTS_PER_SECOND = 1 / 600
BURST_SECONDS = (2.0, 60.0)


class Slower(NamedTuple):
    """What the canary does to a call's duration: `times` and `plus` (ms), and the same for the slowest 2 % only."""

    times: float = 1.0
    plus: float = 0.0
    tail_times: float = 1.0


class World(NamedTuple):
    """One kind of rollout. Rates are shares of calls unless told otherwise.

    `people` of 0 makes every request somebody else's. `failing` is the canary's error rate from `since` seconds on, `on_seconds`
    of each `every_seconds`; `failing_people` is the share of people for whom every call fails there. `masked` puts one person at
    home who makes a tenth as many calls as all others together and fails in each.
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
    told_share: float | None = None
    seconds: int = 1_800

    def is_failing(self, moment: float) -> bool:
        """Whether the canary fails at a moment."""
        if moment < self.since or (self.failing is None and not self.failing_people):
            return False
        return not self.every_seconds or (moment - self.since) % self.every_seconds < self.on_seconds

    def edges(self, end: float) -> list[float]:
        """The moments at which `is_failing` may change."""
        found = [self.since] if 0 < self.since < end else []
        if self.every_seconds:
            start = self.since
            while start < end:
                found += [start, start + self.on_seconds]
                start += self.every_seconds
        return [moment for moment in found if 0 < moment < end]


class Person(NamedTuple):
    """One person: where the hash puts them (0 to 100), calls per second, and how apt their calls are to something."""

    place: float
    calls: float
    errors: float
    slow: float
    refused: float
    effect: float
    broken: bool


def population(world: World, random: Random) -> list[Person]:
    """Draw the people. Their activity is heavy-tailed if clustered, and so is what fails for them: a few have 30 to 100 %."""
    activity = [
        min(random.paretovariate(1.2), 200.0) if world.is_clustered or world.latency else 1.0
        for _ in range(world.people)
    ]
    scale = world.requests / (sum(activity) or 1.0)
    people = []
    for weight in activity:
        errors, slow, refused, effect = world.base, SLOW, REFUSED, 0.0
        if world.is_clustered:
            # Half of all failures come from people for whom 65 % of calls fail on average, the rest from everybody.
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
    """When bursts begin and end."""
    found: list[tuple[float, float]] = []
    moment = random.expovariate(BURSTS_PER_SECOND) if world.has_bursts else math.inf
    while moment < seconds:
        end = moment + random.uniform(*BURST_SECONDS)
        found.append((moment, end))
        moment = end + random.expovariate(BURSTS_PER_SECOND)
    return found

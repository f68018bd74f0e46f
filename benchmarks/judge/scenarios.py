"""The table of the simulated scenarios, with their goals."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.judge.rollouts import JUDGES, OURS
from benchmarks.judge.worlds import Slower, World

BASES = (0.0001, 0.001, 0.005, 0.01, 0.02)
FALSE_ROLLBACK = 0.01
# The best that a judge can do that knows both rates beforehand is to collect ln(100) nats.
NATS = math.log(100)
SHAPES = {
    "independent": {},
    "bursts": {"has_bursts": True},
    "clustered": {"is_clustered": True},
    "bursts and clusters": {"has_bursts": True, "is_clustered": True},
}
# The durations of all local calls are not drawn, and the judge of requests one by one counts failures alone.
TIMED = JUDGES[:4]
# A judge with a wrong share of the canary, to show that the check can fail.
BROKEN = "a judge who was told 2 % for 5 %"


class Scenario(NamedTuple):
    """One row. `part` is the share of the full number of rollouts; `limit` is in canary requests.

    `of_limit` is the goal for the median over the limit, `of_peer` over the median of Flagger's thresholds as
    documented.
    """

    name: str
    world: World
    part: float = 1.0
    is_healthy: bool = False
    steps: tuple[float, ...] = ()
    judges: tuple[str, ...] = JUDGES
    limit: float | None = None
    of_limit: float | None = None
    of_peer: float | None = None


def information_limit(healthy: float, failing: float) -> float:
    """Canary requests that give evidence of 100 to 1 on average, for a judge that knows both rates: ln(100) / KL."""
    nats = failing * math.log(failing / healthy) + (1 - failing) * math.log((1 - failing) / (1 - healthy))
    return NATS / nats


def scenarios() -> list[Scenario]:
    """All scenarios."""
    return [*_failing(), *_other_failures(), *_healthy()]


def _healthy() -> list[Scenario]:
    rows = [
        Scenario(f"healthy {base * 100:g} % {name}", World(base=base, **shape), is_healthy=True)
        for name, shape in SHAPES.items()
        for base in BASES
    ]
    worlds = {
        "healthy 1 % clustered, 60 people": World(base=0.01, is_clustered=True, people=60),
        "healthy 1 % bursts and clusters, 60 people": World(base=0.01, is_clustered=True, has_bursts=True, people=60),
        "healthy 0.1 % pairs fail together": World(has_pairs=True),
        "healthy 1 % pairs fail together, clustered": World(base=0.01, has_pairs=True, is_clustered=True),
        "healthy, answers differ as often as allowed": World(noise=0.005),
    }
    rows += [Scenario(name, world, is_healthy=True) for name, world in worlds.items()]
    large = World(base=0.01, is_clustered=True, people=20_000)
    rows.append(Scenario("healthy 1 % clustered, 20000 people", large, part=0.1, is_healthy=True))
    latency = {"as fast": Slower(plus=3), "as slow as allowed": Slower(times=1.5, plus=25)}
    for name, slower in latency.items():
        rows.append(Scenario(f"healthy latency, {name}", World(latency=slower), is_healthy=True, judges=TIMED))
    steps, ours = (1.0, 5.0, 25.0, 50.0), (OURS,)
    stages = {
        "": World(),
        " 1 % bursts and clusters": World(base=0.01, is_clustered=True, has_bursts=True, noise=0.005),
    }
    for name, world in stages.items():
        rows.append(Scenario(f"healthy 1/5/25/50{name}", world, is_healthy=True, steps=steps, judges=ours))
    # The judge counts the canary's people as if they were 2 %.
    broken = World(base=0.01, assumed_share=2.0)
    rows.append(Scenario(BROKEN, broken, part=0.1, is_healthy=True, judges=ours))
    return rows


def _failing() -> list[Scenario]:
    goals = {
        (0.001, 0.05): (1.5, 0.1),
        (0.001, 0.01): (1.5, 1 / 3),
        (0.001, 0.005): (None, None),
        (0.01, 0.05): (None, None),
        (0.02, 0.20): (None, None),
    }
    return [
        Scenario(
            f"{base * 100:g} % -> {failing * 100:g} %",
            World(base=base, failing=failing, people=0, requests=50),
            limit=information_limit(base, failing),
            of_limit=of_limit,
            of_peer=of_peer,
        )
        for (base, failing), (of_limit, of_peer) in goals.items()
    ]


def _other_failures() -> list[Scenario]:
    people, third, tail = 2_000, 1 / 3, Slower(plus=3, tail_times=3)
    worlds = {
        "0.1 % -> 5 % after 10 minutes": (World(people=people, failing=0.05, since=600), 0.1, None),
        "0.1 % -> 1 % after 10 minutes": (World(people=people, failing=0.01, since=600), 0.1, None),
        "0.1 % -> 20 %, 10 s of each 60": (
            World(people=people, failing=0.2, on_seconds=10, every_seconds=60),
            0.1,
            None,
        ),
        "all calls fail for 5 % of people": (World(people=people, failing_people=0.05), 0.1, None),
        "all calls fail for 5 % of 400 people": (World(failing_people=0.05), 0.2, None),
        "5 % fail, a tenth of home's calls fail too": (World(failing=0.05, masked=True), 0.04, None),
        "wrong answers for 1 % of people": (World(people=people, mismatching=0.01), 0.1, None),
        "wrong answers for 10 % of people": (World(people=people, mismatching=0.1), 0.1, None),
        "half as much is accepted": (World(people=people, accepted=0.5), 0.1, None),
        "slowest 2 % take 3 times as long": (World(people=people, latency=tail), 0.2, third),
        "slowest 2 % take 10 times as long": (
            World(people=people, latency=tail._replace(tail_times=10)),
            0.2,
            third,
        ),
        "all calls take 100 ms more": (World(people=people, latency=Slower(plus=100)), 0.05, None),
        "all calls take 4 times as long": (World(people=people, latency=Slower(times=4)), 0.05, None),
    }
    return [
        Scenario(name, world, part=part, of_peer=peer, judges=TIMED if world.latency else JUDGES)
        for name, (world, part, peer) in worlds.items()
    ]

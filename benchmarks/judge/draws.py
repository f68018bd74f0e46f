"""Exact Poisson counts at any mean, which the standard library does not draw."""

from __future__ import annotations

import math
from random import Random

_FEW = 12.0


def poisson(random: Random, mean: float) -> int:
    """A Poisson count: by multiplication for a small mean, by transformed rejection above (Hörmann 1993, PTRS)."""
    if mean <= 0:
        return 0
    if mean < _FEW:
        limit, count, product = math.exp(-mean), 0, random.random()
        while product > limit:
            count += 1
            product *= random.random()
        return count
    return _rejected(random, mean)


def _rejected(random: Random, mean: float) -> int:
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    log_mean, inverse, accepted = math.log(mean), 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    while True:
        u = random.random() - 0.5
        v = random.random()
        distance = 0.5 - abs(u)
        count = math.floor((2 * a / distance + b) * u + mean + 0.43) if distance else -1
        if distance >= 0.07 and v <= accepted:
            return count
        if count < 0 or (distance < 0.013 and v > distance):
            continue
        left = math.log(v * inverse / (a / (distance * distance) + b))
        if left <= count * log_mean - mean - math.lgamma(count + 1):
            return count


def moments(random: Random, rate: float, start: float, end: float) -> list[float]:
    """The moments of a Poisson process of a rate per second, in order."""
    times: list[float] = []
    if rate <= 0:
        return times
    moment = start + random.expovariate(rate)
    while moment < end:
        times.append(moment)
        moment += random.expovariate(rate)
    return times

"""The evidence against a canary: betting e-values, as functions of counts alone.

The side of each unit (a person, or the subject of system work) was drawn by hash, with the same known probability for
all. If the side makes no difference, then of the units to whom something happens for the first time each is on the
canary's side with that probability, regardless of the rate, its bursts and its clustering by person. A bet at these
odds is a fair game; its capital is the evidence, and the chance that it ever reaches x is at most 1/x, however often
one looks (Ville's inequality; Shafer 2021, "Testing by betting"; Ramdas et al. 2023, "Game-theoretic statistics and
safe anytime-valid inference").

Mathematics only; `measures.py` says what is counted, `ruling.py` what is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

Multiples = tuple[tuple[float, float], ...]
# How many times as often an event happens on the canary's side, and the part of the capital that bets on it. Gross
# failures have the largest part: two of two at a 5 % share are enough. The rest is set so that 0.1 % against 1 % takes
# 1.5 times the information limit.
MORE: Multiples = ((1.5, 0.05), (4.0, 0.10), (10.0, 0.25), (200.0, 0.60))
# Tails grow by a few times, and all calls at once by as much as there is room for.
SLOWER: Multiples = ((1.5, 0.1), (4.0, 0.5), (10.0, 0.2), (200.0, 0.2))
LESS: Multiples = ((0.8, 0.1), (0.5, 0.3), (0.2, 0.3), (0.02, 0.3))
# The part of the capital that bets from the first period on. The rest begins later, a part at each period, so that a
# failure after a healthy hour does not have to win back what that hour lost.
FROM_THE_START = 0.8
CONFIDENCE = 20.0
_LARGEST = 690.0  # e to this is still a float


class Firsts(NamedTuple):
    """Units to whom something happened for the first time in a step, within one period of it.

    `share` is the probability that such a unit is on the canary's side, 0 < share < 1.
    """

    share: float
    canary: int
    local: int


def capital(periods: Sequence[Firsts], multiples: Multiples) -> float:
    """The capital of a bet of 1: at least x with a probability of at most 1/x if the side makes no difference."""
    grown = [0.0] * len(multiples)
    from_each: list[float] = []
    for period in reversed(periods):
        for place, (_, log_canary, log_local) in enumerate(_odds(period.share, multiples)):
            grown[place] += period.canary * log_canary + period.local * log_local
        from_each.append(
            sum(part * math.exp(min(log, _LARGEST)) for (_, part), log in zip(multiples, grown, strict=True))
        )
    if not from_each:
        return 1.0
    from_each.reverse()
    # 1/(j (j + 1)) adds up to 1 over all j: the part that has not begun yet is still whole.
    later = sum(value / (number * (number + 1)) for number, value in enumerate(from_each[1:], 1))
    return FROM_THE_START * from_each[0] + (1 - FROM_THE_START) * (later + 1 / len(from_each))


def above(count: int, of: int, allowed: float) -> float:
    """Evidence that something happens to more than a share `allowed` of units, without a side to compare with.

    `count` of `of` units showed it. That one unit says nothing about another is an assumption here, and not a fact of
    the draw.
    """
    return capital([Firsts(allowed, min(count, of), max(of - count, 0))], MORE) if of else 1.0


def otherwise_split(canary: int, local: int, share: float) -> float:
    """Evidence that units are not split as the flag says, either way: a Beta mixture around the share."""
    a, b = 100 * share, 100 * (1 - share)
    log = _log_beta(a + canary, b + local) - _log_beta(a, b) - canary * math.log(share) - local * math.log(1 - share)
    return math.exp(min(log, _LARGEST))


def highest(count: int, of: int) -> float:
    """The highest rate that is still possible at 95 %, at any moment of looking; 1 before anything was seen.

    The end of the confidence sequence of a Beta(1/2, 1/2) mixture.
    """
    if not of:
        return 1.0
    mixture = _log_beta(count + 0.5, of - count + 0.5) - _log_beta(0.5, 0.5)
    low, high = max(count / of, 1e-12), 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        own = count * math.log(middle) + (of - count) * math.log1p(-middle)
        low, high = (low, middle) if mixture - own >= math.log(CONFIDENCE) else (middle, high)
    return high


@cache
def _odds(share: float, multiples: Multiples) -> tuple[tuple[float, float, float], ...]:
    """For each bet: its multiple, and the logarithms of its gain per count on the canary's and on the local side."""
    odds = []
    for multiple, _ in multiples:
        probability = share * multiple / (share * multiple + 1 - share)
        odds.append((multiple, math.log(probability / share), math.log((1 - probability) / (1 - share))))
    return tuple(odds)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

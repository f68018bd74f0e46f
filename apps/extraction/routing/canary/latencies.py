"""Histogram of call times: buckets a quarter power of two wide, 0.1 ms to 100 s, so a quantile is known to 19 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

SMALLEST = 0.0001  # seconds
PER_DOUBLING = 4
COUNT = 80


def bucket(seconds: float) -> int:
    """The bucket of a time."""
    if seconds <= SMALLEST:
        return 0
    return min(int(math.log2(seconds / SMALLEST) * PER_DOUBLING) + 1, COUNT - 1)


def upper(number: int) -> float:
    """The longest time of a bucket, s."""
    return SMALLEST * 2 ** (number / PER_DOUBLING)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The time, s, below which a share of the counted times lie; None if there are too few.

    Too few: not even one time is expected above the quantile.
    """
    total = sum(counts)
    if total * (1 - share) < 1:
        return None
    wanted, counted = share * total, 0
    for number, count in enumerate(counts):
        counted += count
        if counted >= wanted:
            return upper(number)
    return upper(COUNT - 1)

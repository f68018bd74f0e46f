"""The judges of other tools, on the same minutes: thresholds as in Flagger, Mann-Whitney as in Kayenta."""

from __future__ import annotations

import math
from bisect import insort
from typing import NamedTuple

# Flagger's documentation: interval 1m, request-success-rate at least 99 %, request-duration (P99) at most 500 ms.
LEAST_SUCCESS = 0.99
MOST_P99_MS = 500.0
# NetflixACAJudge: a confidence interval of 98 %, and a tolerance of a quarter of the estimate.
Z = 2.3263478740408408
TOLERANCE = 0.25


class MinuteCounts(NamedTuple):
    """One side in one minute. `p99` in ms, None if latencies were not drawn."""

    calls: int
    errors: int
    p99: float | None = None

    @property
    def rate(self) -> float:
        """The share that failed."""
        return self.errors / self.calls if self.calls else 0.0


class Thresholds:
    """Rolls back when `allowed` checks, one a minute and metric, have failed.

    Passed checks in between do not reset the count.
    """

    def __init__(self, allowed: int) -> None:
        self._left = allowed

    def minute(self, canary: MinuteCounts) -> bool:
        """Whether it rolls back now. A minute without calls halts Flagger; here it counts as passed."""
        if canary.calls and (1 - canary.rate < LEAST_SUCCESS or (canary.p99 is not None and canary.p99 > MOST_P99_MS)):
            self._left -= 1
        return self._left <= 0


class MannWhitney:
    """Rolls back when a metric is classified as `High`, each minute over all minutes so far.

    The lower end of the interval around the Hodges-Lehmann estimate (order statistics of pairwise differences, normal
    approximation as R's wilcox.test has it) lies above a quarter of the estimate. Outliers are kept; every metric is
    critical.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, _Differences] = {}

    def minute(self, canary: MinuteCounts, baseline: MinuteCounts) -> bool:
        """Whether it rolls back now."""
        pairs = {}
        if canary.calls and baseline.calls:
            pairs["errors"] = (canary.rate, baseline.rate)
        if canary.p99 is not None and baseline.p99 is not None:
            pairs["latency"] = (canary.p99, baseline.p99)
        # Each metric has to see this minute, also when another one has decided.
        high = [self._metrics.setdefault(name, _Differences()).high(*pair) for name, pair in pairs.items()]
        return any(high)


class _Differences:
    def __init__(self) -> None:
        self._canary: list[float] = []
        self._baseline: list[float] = []
        self._sorted: list[float] = []

    def high(self, canary: float, baseline: float) -> bool:
        for other in self._baseline:
            insort(self._sorted, canary - other)
        self._canary.append(canary)
        self._baseline.append(baseline)
        for other in self._canary:
            insort(self._sorted, other - baseline)
        count = len(self._canary)
        all_pairs = count * count
        lowest = math.floor(all_pairs / 2 - Z * math.sqrt(all_pairs * (2 * count + 1) / 12))
        if lowest < 1:
            return False
        middle = all_pairs // 2
        estimate = (self._sorted[middle] + self._sorted[(all_pairs - 1) // 2]) / 2
        return self._sorted[lowest - 1] > TOLERANCE * abs(estimate)

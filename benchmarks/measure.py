"""Interleaved timing. The machine is noisy, so two sides are only ever compared within the same short round."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

Timed = Callable[[], object]
MICRO = 1e6


class Peers(NamedTuple):
    """One value per round for each of two sides, taken in turns."""

    first: list[float]
    second: list[float]

    def ratio(self) -> float:
        """How many times the first is the second: the median over the rounds."""
        return median(one / two for one, two in zip(self.first, self.second, strict=True))

    def difference(self) -> float:
        """The first less the second: the median over the rounds."""
        return median(one - two for one, two in zip(self.first, self.second, strict=True))


def calls(first: Timed, second: Timed, *, rounds: int, block: int) -> Peers:
    """The median seconds of a call per round. The sides take turns in blocks, long enough to be in stride."""
    return batches(lambda: _typical(first, block), lambda: _typical(second, block), rounds=rounds)


def batches(first: Callable[[], float], second: Callable[[], float], *, rounds: int) -> Peers:
    """What each side reports for a batch of its own, A B B A and so on; one unmeasured batch of each goes first."""
    first()
    second()
    found = Peers([], [])
    for turn in range(rounds):
        if turn % 2:
            found.second.append(second())
            found.first.append(first())
        else:
            found.first.append(first())
            found.second.append(second())
    return found


def _typical(function: Timed, block: int) -> float:
    spent: list[float] = []
    for _ in range(block):
        started = time.perf_counter()
        function()
        spent.append(time.perf_counter() - started)
    return median(spent)

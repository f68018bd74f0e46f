"""Interleaved timing. The machine is noisy, so two sides are compared only within the same short round."""

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
        return median(first / second for first, second in zip(self.first, self.second, strict=True))

    def difference(self) -> float:
        """The first less the second: the median over the rounds."""
        return median(first - second for first, second in zip(self.first, self.second, strict=True))


def calls(first: Timed, second: Timed, *, rounds: int, block: int) -> Peers:
    """The median seconds of a call per round. The sides take turns in blocks, long enough to be warm."""
    return batches(lambda: _typical(first, block), lambda: _typical(second, block), rounds=rounds)


def batches(first: Callable[[], float], second: Callable[[], float], *, rounds: int) -> Peers:
    """The values of both sides' batches, in the order A B B A and so on, after one unmeasured batch of each."""
    first()
    second()
    peers = Peers([], [])
    for turn in range(rounds):
        if turn % 2:
            peers.second.append(second())
            peers.first.append(first())
        else:
            peers.first.append(first())
            peers.second.append(second())
    return peers


def _typical(function: Timed, block: int) -> float:
    seconds: list[float] = []
    for _ in range(block):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return median(seconds)

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


def calls(first: Timed, second: Timed, *, rounds: int, pairs: int) -> Peers:
    """The median seconds of a call of each side per round; the sides take turns call by call and in going first."""
    _warm(first, second)
    found = Peers([], [])
    for _ in range(rounds):
        spent: tuple[list[float], list[float]] = ([], [])
        for turn in range(pairs):
            order = ((0, first), (1, second)) if turn % 2 else ((1, second), (0, first))
            for side, function in order:
                started = time.perf_counter()
                function()
                spent[side].append(time.perf_counter() - started)
        found.first.append(median(spent[0]))
        found.second.append(median(spent[1]))
    return found


def batches(first: Callable[[], float], second: Callable[[], float], *, rounds: int) -> Peers:
    """The rate that each side reports for a batch of its own, A B B A and so on; one unmeasured batch of each first."""
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


def _warm(*sides: Timed) -> None:
    for _ in range(100):
        for side in sides:
            side()

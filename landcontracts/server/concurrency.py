"""How many requests of a lane are answered at a time: fewer, where more threads only contend for the interpreter.

Here: the measure and the rule. Not here: queues and threads (`lanes.py`).
"""

from __future__ import annotations

import threading
import time

LEAST = 2
FEW = 4  # requests, that are answered at a time in any case
# Of the time, in which the lane's threads computed. One interpreter computes on one core, so 1 is the most.
SATURATED, UNSATURATED, IDLE = 0.8, 0.7, 0.35
INTERVAL_SECONDS = 0.1


def next_limit(limit: int, threads: int, *, running: int, queued: int, busy: float) -> int:
    """The limit for the next interval.

    Threads that all compute take turns at the interpreter, at each query of theirs: sixteen of them answer a fifth less
    than two. Threads that wait for others do not compute, and then all of them may run at once.
    """
    least = min(LEAST, threads)
    if busy < IDLE or running + queued <= FEW:
        return threads
    if busy >= SATURATED:
        return max(min(limit, running) * 3 // 4, least)
    return min(limit + 2, threads) if busy < UNSATURATED else limit


class Meter:
    """The share of the time that threads have computed since it was asked last."""

    def __init__(self) -> None:
        self._clocks: list[int] = []
        self._since = time.monotonic()
        self._computed = 0.0

    def add(self, thread: threading.Thread) -> None:
        """Count a thread that runs as long as the process."""
        assert thread.ident is not None
        self._clocks.append(time.pthread_getcpuclockid(thread.ident))

    def is_due(self, now: float) -> bool:
        """Whether an interval is over. `now`: of the monotonic clock."""
        return now - self._since >= INTERVAL_SECONDS

    def read(self, now: float) -> float:
        """The share since the last reading, 1 for one core. `now`: of the monotonic clock."""
        computed = sum(map(time.clock_gettime, self._clocks))
        share = (computed - self._computed) / max(now - self._since, 0.001)
        self._since, self._computed = now, computed
        return share

"""How many requests of a lane are answered at a time: fewer, where more threads only contend for the interpreter.

Here: the measure and the rule. Not here: queues and threads (`lanes.py`).
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

INTERVAL_SECONDS = 0.1
LEAST = 2
FEW = 4  # requests, that are answered at a time in any case
# Of the time, in which threads computed. One interpreter computes on one core, so 1 is the most.
SATURATED, UNSATURATED, BLOCKED = 0.8, 0.7, 0.01
# After a thread was seen to wait for others, all of them may run for so long.
WIDE_SECONDS = 2.0


class Reading(NamedTuple):
    """What threads have done in an interval: how many computed in all, and whether one of them hardly did."""

    busy: float
    is_blocked: bool


class Limit:
    """How many of a lane's threads may run, decided anew in each interval."""

    def __init__(self, threads: int) -> None:
        self.threads = self.value = threads
        self._wide_until = 0.0

    def decide(self, reading: Reading, *, running: int, queued: int, now: float) -> None:
        """Set the limit for the next interval. `now`: of the monotonic clock.

        Threads that all compute take turns at the interpreter, at each query of theirs: sixteen of them answer a fifth
        less than two. Threads that wait for others do not compute, so while there are such all threads may run.
        """
        if reading.is_blocked:
            self._wide_until = now + WIDE_SECONDS
        if now < self._wide_until or running + queued <= FEW:
            self.value = self.threads
        elif reading.busy >= SATURATED:
            self.value = max(min(self.value, running) * 3 // 4, min(LEAST, self.threads))
        elif reading.busy < UNSATURATED:
            self.value = min(self.value + 2, self.threads)


class Meter:
    """Reads the processor clocks of threads that run as long as the process."""

    def __init__(self) -> None:
        self._clocks: dict[threading.Thread, int] = {}
        self._computed: dict[threading.Thread, float] = {}
        self._running: set[threading.Thread] = set()
        self._since = time.monotonic()

    def add(self, thread: threading.Thread) -> None:
        """Count a thread, which has started."""
        assert thread.ident is not None
        self._clocks[thread] = time.pthread_getcpuclockid(thread.ident)
        self._computed[thread] = 0.0

    def is_due(self, now: float) -> bool:
        """Whether an interval is over. `now`: of the monotonic clock."""
        return now - self._since >= INTERVAL_SECONDS

    def read(self, now: float, running: set[threading.Thread]) -> Reading:
        """What all threads have done since the last reading; blocked may be those that are running, and were then."""
        computed = {thread: time.clock_gettime(clock) for thread, clock in self._clocks.items()}
        seconds = max(now - self._since, 0.001)
        shares = {thread: (computed[thread] - self._computed[thread]) / seconds for thread in computed}
        is_blocked = any(shares[thread] < BLOCKED for thread in running & self._running)
        self._since, self._computed, self._running = now, computed, running
        return Reading(sum(shares.values()), is_blocked)

"""Lanes of threads: a full lane makes the others wait for nothing, and what is too much is refused.

Here: queues, their bounds and threads. Not here: connections (`channel.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from typing import Protocol

from landcontracts.server import figures
from landcontracts.server.options import HEAVY_MAX_WAIT_SECONDS, MAX_WAIT_SECONDS, MAX_WAITING
from landcontracts.server.routes import Kind

log = logging.getLogger(__name__)


class Task(Protocol):
    """A piece of work for a thread."""

    def run(self) -> None:
        """Do it."""

    def shed(self) -> None:
        """Refuse it: too many wait, or it has waited for too long."""


class Lane:
    """One queue and its threads, daemons, so that a hanging answer does not keep the process from ending."""

    def __init__(self, kind: Kind, threads: int, max_wait_seconds: float) -> None:
        self.kind = kind
        self._max_wait = max_wait_seconds
        self._queue: deque[tuple[float, Task]] = deque()
        self._arrived = threading.Condition(threading.Lock())
        self.running = 0
        figures.shed.labels(kind)  # 0 is seen before the first
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{kind}-{number}", daemon=True).start()

    def put(self, task: Task) -> None:
        """Queue a task. Where too many wait it is refused here and now, in the calling thread."""
        with self._arrived:
            is_full = len(self._queue) >= MAX_WAITING
            if not is_full:
                self._queue.append((time.monotonic(), task))
                self._arrived.notify()
        if is_full:
            figures.shed.labels(self.kind).inc()
            task.shed()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued or running."""
        return not self._queue and not self.running

    def _work(self) -> None:
        while True:
            with self._arrived:
                while not self._queue:
                    self._arrived.wait()
                queued_at, task = self._queue.popleft()
                self.running += 1
            try:
                if time.monotonic() - queued_at > self._max_wait:
                    figures.shed.labels(self.kind).inc()
                    task.shed()
                else:
                    task.run()
            except Exception:
                log.exception("request_lost")
            finally:
                with self._arrived:
                    self.running -= 1


class Lanes:
    """Every lane of one process."""

    def __init__(self, threads: int, heavy_threads: int) -> None:
        self._by_kind = {
            Kind.HEALTH: Lane(Kind.HEALTH, 1, MAX_WAIT_SECONDS * 5),
            Kind.EXPRESS: Lane(Kind.EXPRESS, 2, MAX_WAIT_SECONDS * 5),
            Kind.USUAL: Lane(Kind.USUAL, threads, MAX_WAIT_SECONDS),
            Kind.HEAVY: Lane(Kind.HEAVY, heavy_threads, HEAVY_MAX_WAIT_SECONDS),
            Kind.UNSEALED: Lane(Kind.UNSEALED, 2, MAX_WAIT_SECONDS),
        }

    def put(self, kind: Kind, task: Task) -> None:
        """Queue a task in a lane."""
        self._by_kind[kind].put(task)

    @property
    def are_idle(self) -> bool:
        """Whether nothing is queued or running."""
        return all(lane.is_idle for lane in self._by_kind.values())


class Crowded(Exception):
    """There is no place: `is_person` has them all, or everyone together has."""

    def __init__(self, *, is_person: bool) -> None:
        super().__init__(is_person)
        self.is_person = is_person


class Place:
    """A place among expensive requests, held from the first byte of the body until the answer is sent."""

    def __init__(self, bulkhead: Bulkhead, person: str, *, is_receiving: bool) -> None:
        self._bulkhead = bulkhead
        self.person = person
        self.is_receiving = is_receiving
        self.is_held = True

    def received(self) -> None:
        """The body has come."""
        self._bulkhead.received(self)

    def leave(self) -> None:
        """Give it back, however often this is called."""
        self._bulkhead.leave(self)


class Bulkhead:
    """Bounds the expensive requests of one person, of all, and those of all whose bodies are still being received."""

    def __init__(self, per_person: int, in_all: int) -> None:
        self._per_person = per_person
        self._in_all = in_all
        # Slow senders leave a third of the places to requests that have come.
        self._receiving_in_all = max(in_all * 2 // 3, 1)
        self._held: Counter[str] = Counter()
        self._receiving = 0
        self._lock = threading.Lock()

    def enter(self, person: str, *, is_receiving: bool) -> Place:
        """Take a place. Raises: Crowded."""
        with self._lock:
            if self._held[person] >= self._per_person:
                raise Crowded(is_person=True)
            if self._held.total() >= self._in_all or (is_receiving and self._receiving >= self._receiving_in_all):
                raise Crowded(is_person=False)
            self._held[person] += 1
            self._receiving += is_receiving
            return Place(self, person, is_receiving=is_receiving)

    def received(self, place: Place) -> None:
        """Count a place no longer among those whose bodies are being received."""
        with self._lock:
            self._receiving -= place.is_receiving
            place.is_receiving = False

    def leave(self, place: Place) -> None:
        """Take a place back."""
        with self._lock:
            if place.is_held:
                place.is_held = False
                self._receiving -= place.is_receiving
                self._held[place.person] -= 1
                self._held += Counter()  # forgets people without a place

"""Lanes of threads: a full lane makes the others wait for nothing, and what is too much is refused.

Here: queues, their bounds and threads. Not here: connections (`channel.py`).
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from landcontracts.server import figures
from landcontracts.server.concurrency import Limit, Meter
from landcontracts.server.options import HEAVY_MAX_WAIT_SECONDS, MAX_CONNECTIONS, MAX_WAIT_SECONDS, MAX_WAITING
from landcontracts.server.routes import Kind

log = logging.getLogger(__name__)
ENOUGH = 16


class Task(Protocol):
    """A piece of work for a thread."""

    def run(self) -> None:
        """Do it."""

    def shed(self) -> None:
        """Refuse it: too many wait, or it has waited for too long."""


class Lane:
    """One queue and its threads, daemons, so that a hanging answer does not keep the process from ending.

    The thread that was busy last is woken first: its connection to the database and what it works on are at hand.
    """

    def __init__(self, kind: Kind, threads: int, max_wait_seconds: float, *, max_waiting: int = MAX_WAITING) -> None:
        self.kind = kind
        self._threads = threads
        self._max_waiting = max_waiting
        self._max_wait = max_wait_seconds
        self._queue: deque[tuple[float, Task]] = deque()
        self._lock = threading.Lock()
        self._limit = Limit(threads)
        self._meter = Meter()
        self._meter.add(threading.current_thread())  # the loop's, which takes the interpreter as well
        self._shed = figures.shed.labels(kind)
        self._workers = [_Worker(self, f"{kind}-{number}") for number in range(threads)]
        self._resting = self._workers.copy()
        for worker in self._workers:
            self._meter.add(worker.thread)

    def put(self, task: Task) -> None:
        """Queue a task. Where too many wait it is refused here and now, in the calling thread."""
        with self._lock:
            worker = self._woken()
            is_full = worker is None and len(self._queue) >= self._max_waiting
            if worker is None and not is_full:
                self._queue.append((time.monotonic(), task))
        if worker is not None:
            worker.begin(task)
        elif is_full:
            self._shed.inc()
            task.shed()

    def _woken(self) -> _Worker | None:
        """A thread that rested and counts as running now, where one more may run."""
        return self._resting.pop() if self._resting and self.running < self._limit.value else None

    @property
    def running(self) -> int:
        """How many threads run."""
        return len(self._workers) - len(self._resting)

    def adapt(self, now: float) -> None:
        """Change how many threads may run, once in an interval. `now`: of the monotonic clock."""
        if not self._meter.is_due(now):
            return
        with self._lock:
            running = {worker.thread for worker in self._workers} - {worker.thread for worker in self._resting}
            reading = self._meter.read(now, running)
            self._limit.decide(reading, running=len(running), queued=len(self._queue), now=now)
        self._wake()

    def open(self) -> None:
        """Let all threads run, until the limit is decided again."""
        self._limit.value = self._threads
        self._wake()

    def _wake(self) -> None:
        """Wake a thread for each task that is queued, where more may run."""
        with self._lock:
            woken = [worker for _ in range(len(self._queue)) if (worker := self._woken()) is not None]
        for worker in woken:
            worker.begin(None)

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may."""
        return len(self._queue) >= self._max_waiting

    @property
    def has_enough(self) -> bool:
        """Whether as many wait as keep the threads busy for some milliseconds."""
        return len(self._queue) >= ENOUGH

    @property
    def is_narrow(self) -> bool:
        """Whether fewer threads may run than there are."""
        return self._limit.value < self._threads

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued or running."""
        return not self._queue and not self.running

    @property
    def is_calm(self) -> bool:
        """Whether nothing is queued, and half of the threads that may run rest."""
        return not self._queue and self.running * 2 <= self._limit.value

    def next(self, worker: _Worker) -> Task | None:
        """What a worker does next; None when it rests. What has waited too long is refused."""
        while True:
            with self._lock:
                if not self._queue or self.running > self._limit.value:
                    self._resting.append(worker)
                    return None
                queued_at, task = self._queue.popleft()
            if time.monotonic() - queued_at <= self._max_wait:
                return task
            self._shed.inc()
            attempt(task.shed)


class _Worker:
    """A thread of a lane."""

    def __init__(self, lane: Lane, name: str) -> None:
        self._lane = lane
        self._task: Task | None = None
        self._woken = threading.Lock()
        self._woken.acquire()
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def begin(self, task: Task | None) -> None:
        """Wake it, with a task or for those that are queued."""
        self._task = task
        self._woken.release()

    def _work(self) -> None:
        while True:
            self._woken.acquire()
            task = self._task or self._lane.next(self)
            while task is not None:
                attempt(task.run)
                task = self._lane.next(self)


def attempt(work: Callable[[], None]) -> None:
    """Do it; an error is logged, since the thread goes on with others: after `SystemExit` as well."""
    try:
        work()
    except BaseException:
        log.exception("request_lost")


class Lanes:
    """Every lane of one process."""

    def __init__(self, threads: int, heavy_threads: int) -> None:
        self._by_kind = {
            # It takes some ten microseconds, so that as many may wait as can connect.
            Kind.HEALTH: Lane(Kind.HEALTH, 1, MAX_WAIT_SECONDS * 5, max_waiting=MAX_CONNECTIONS),
            Kind.EXPRESS: Lane(Kind.EXPRESS, 2, MAX_WAIT_SECONDS * 5),
            Kind.USUAL: Lane(Kind.USUAL, threads, MAX_WAIT_SECONDS),
            Kind.HEAVY: Lane(Kind.HEAVY, heavy_threads, HEAVY_MAX_WAIT_SECONDS),
            Kind.OPERATOR: Lane(Kind.OPERATOR, 2, MAX_WAIT_SECONDS * 5),
            Kind.UNSEALED: Lane(Kind.UNSEALED, 2, MAX_WAIT_SECONDS),
        }

    def put(self, kind: Kind, task: Task) -> None:
        """Queue a task in a lane."""
        self._by_kind[kind].put(task)

    def may_wait(self, kind: Kind) -> bool:
        """Whether a thread of this lane may wait for its client's next request."""
        return kind is Kind.USUAL and self._by_kind[kind].is_calm

    def adapt(self, now: float) -> None:
        """Change how many usual requests are answered at a time. `now`: of the monotonic clock."""
        self._by_kind[Kind.USUAL].adapt(now)

    def open(self) -> None:
        """Let all usual threads run, until `adapt` is called again."""
        self._by_kind[Kind.USUAL].open()

    @property
    def is_full(self) -> bool:
        """Whether as many usual requests wait as may."""
        return self._by_kind[Kind.USUAL].is_full

    @property
    def have_enough(self) -> bool:
        """Whether so many usual requests wait that more need not come at once."""
        return self._by_kind[Kind.USUAL].has_enough

    @property
    def are_narrow(self) -> bool:
        """Whether fewer threads may run than there are, which has to be looked at again soon."""
        return self._by_kind[Kind.USUAL].is_narrow

    @property
    def are_idle(self) -> bool:
        """Whether nothing is queued or running."""
        return all(lane.is_idle for lane in self._by_kind.values())


class Crowded(Exception):
    """There is no place: `is_person` has them all, or everyone together has."""

    def __init__(self, *, is_person: bool) -> None:
        super().__init__(is_person)
        self.is_person = is_person


class Stage(enum.Enum):
    """Where an expensive request is."""

    RECEIVED = enum.auto()  # its body is on its way
    WORK = enum.auto()  # it waits for a thread, or has one
    SENT = enum.auto()  # its answer is on its way, on disk where it is long


class Place:
    """A place among expensive requests, held from the first byte of the body until the answer is sent."""

    def __init__(self, bulkhead: Bulkhead, person: str, stage: Stage) -> None:
        self._bulkhead = bulkhead
        self.person = person
        self.stage: Stage | None = stage

    def enter(self, stage: Stage) -> None:
        """Go on to a later stage, unless the place was given back."""
        self._bulkhead.change(self, stage)

    def leave(self) -> None:
        """Give it back, however often this is called."""
        self._bulkhead.change(self, None)


class Bulkhead:
    """Bounds the expensive requests of one person, and those of all in each stage.

    Clients that send or read slowly fill the bounds of their own stages, and leave places for requests that have come.
    """

    def __init__(self, per_person: int, in_all: int) -> None:
        self._per_person = per_person
        self._in_all = in_all
        self._most_received = max(in_all * 2 // 3, 1)
        self._most_sent = in_all * 2
        self._of_person: Counter[str] = Counter()
        self._at: Counter[Stage] = Counter()
        self._lock = threading.Lock()

    def enter(self, person: str, *, is_receiving: bool) -> Place:
        """Take a place. Raises: Crowded."""
        with self._lock:
            if self._of_person[person] >= self._per_person:
                raise Crowded(is_person=True)
            if (
                self._at[Stage.RECEIVED] + self._at[Stage.WORK] >= self._in_all
                or self._at[Stage.SENT] >= self._most_sent
                or (is_receiving and self._at[Stage.RECEIVED] >= self._most_received)
            ):
                raise Crowded(is_person=False)
            stage = Stage.RECEIVED if is_receiving else Stage.WORK
            self._of_person[person] += 1
            self._at[stage] += 1
            return Place(self, person, stage)

    @property
    def is_crowded(self) -> bool:
        """Whether half of the places for bodies that are on their way are taken."""
        return self._at[Stage.RECEIVED] * 2 >= self._most_received

    def change(self, place: Place, stage: Stage | None) -> None:
        """Count a place in another stage, or in none."""
        with self._lock:
            if place.stage is None:
                return
            self._at[place.stage] -= 1
            if stage is None:
                self._of_person[place.person] -= 1
                self._of_person += Counter()  # forgets people without a place
            else:
                self._at[stage] += 1
            place.stage = stage

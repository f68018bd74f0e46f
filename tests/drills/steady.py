"""Whole sales that begin on a fixed schedule, whether or not earlier ones are finished, and when each request came back."""

from __future__ import annotations

import itertools
import threading
import time
import traceback
from typing import NamedTuple, Self

from tests.drills.clients import Tally
from tests.drills.sales import Load, Trio


class Answer(NamedTuple):
    """One request: when its answer came, by the wall clock, and how long it took."""

    at: float
    milliseconds: float


class Stopwatch(Tally):
    """A tally that keeps the time of every answer and of every acknowledged command."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.acknowledged_at: dict[str, float] = {}

    def add(self, milliseconds: float, failure: str = "") -> None:
        """One request."""
        super().add(milliseconds, failure)
        self.answers.append(Answer(time.time(), milliseconds))

    def acknowledged(self, key: str) -> None:
        """A command was answered with success."""
        super().acknowledged(key)
        self.acknowledged_at[key] = time.time()

    def slowest(self, begin: float, end: float) -> float:
        """The slowest request that was under way at any time in between, in milliseconds."""
        return max(
            (
                answer.milliseconds
                for answer in list(self.answers)
                if answer.at >= begin and answer.at - answer.milliseconds / 1000 <= end
            ),
            default=0.0,
        )


class Steady(Load):
    """An open loop: sale number n begins at n / rate. Without a rate it is closed: each client begins anew when it is done.

    There are only so many clients; should all be busy, a sale begins late, and how late is kept in `behind`.
    """

    def __init__(self, url: str, tally: Tally, trios: list[Trio], pdf: bytes, *, rate: float = 0.0) -> None:
        super().__init__(url, tally, trios, pdf)
        self.behind: list[float] = []
        self.finished: list[float] = []
        self._done = threading.Condition()
        self._rate = rate
        self._turns = itertools.count()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return super().__enter__()

    def wait_for(self, count: int, seconds: float) -> bool:
        """Until so many sales are finished; whether they were in time."""
        with self._done:
            return self._done.wait_for(lambda: len(self.finished) >= count, seconds)

    def run_on(self, seconds: float) -> None:
        """Let it run, for at least so long and until one more sale has come to its end."""
        before = len(self.finished)
        time.sleep(seconds)
        self.wait_for(before + 1, 30)

    def _play(self, trio: Trio) -> None:
        while not self._stop.is_set():
            if self._rate:
                due = self._began + next(self._turns) / self._rate
                if self._stop.wait(max(due - time.monotonic(), 0)):
                    return
                self.behind.append(max(time.monotonic() - due, 0.0))
            try:
                self.facts.append(self._one(trio))
                with self._done:
                    self.finished.append(time.monotonic())
                    self._done.notify_all()
            except Exception as error:
                self.broken.append(f"{error}\n{traceback.format_exc(limit=-3)}")
                self.tally.add(0.0, f"sale: {error}")
                self._stop.wait(0.5)


def capacity(load: Steady, seconds: float) -> float:
    """Sales a second that a closed loop finishes, counted from the first that is finished."""
    if not load.wait_for(1, 60):
        raise TimeoutError(f"no sale comes to its end: {load.broken[:1]}")
    first = load.finished[0]
    time.sleep(max(first + seconds - time.monotonic(), 0))
    done = [at for at in list(load.finished) if first < at <= first + seconds]
    return len(done) / seconds

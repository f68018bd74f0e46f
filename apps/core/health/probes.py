"""Asking many dependencies at once, each for a bounded time: one that hangs holds nobody up and piles nothing up.

Here: threads and deadlines. Not here: what is asked (`dependencies.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

DEADLINE_SECONDS = 1.5
# Within which a probe connects, so that it fails by its own word before the deadline.
CONNECT_SECONDS = 1.0
# A question that nobody has answered for so long is left alone and asked anew; so many of one dependency are left hanging.
ABANDONED_SECONDS = 10.0
MAX_HANGING = 3
Details = dict[str, Any]


class Dependency(NamedTuple):
    """Something that this process needs, or, if `optional`, can do without for a while.

    `ask` returns what there is to tell besides, and raises whatever is the matter; only the kind of that is told.
    """

    name: str
    ask: Callable[[], Details | None]
    optional: bool = False


class Report(NamedTuple):
    """What was found out: `ready` is false when something that is not optional does not answer, `degraded` when anything does not."""

    ready: bool
    degraded: bool
    checks: dict[str, Details]


class _Question:
    """One question to one dependency, on a thread of its own that ends with the process."""

    def __init__(self, dependency: Dependency) -> None:
        self.began = time.monotonic()
        self.answer: Details = {}
        self.answered = threading.Event()
        self._ask = dependency.ask
        threading.Thread(target=self._run, name=f"ready-{dependency.name}", daemon=True).start()

    def _run(self) -> None:
        error, details = "", None
        try:
            details = self._ask()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the dependency is not ready
            error = type(problem).__name__
        ms = round((time.monotonic() - self.began) * 1000, 1)
        self.answer = {"ok": not error, "error": error, "ms": ms, **(details or {})}
        self.answered.set()


_asked: dict[tuple[int, str], list[_Question]] = {}
_lock = threading.Lock()


def report(dependencies: Iterable[Dependency], *, seconds: float = DEADLINE_SECONDS) -> Report:
    """Ask all at once and wait no longer than `seconds` for all of them together."""
    deadline = time.monotonic() + seconds
    questions = [(dependency, _question(dependency)) for dependency in dependencies]
    checks: dict[str, Details] = {}
    for dependency, question in questions:
        if question.answered.wait(max(deadline - time.monotonic(), 0)):
            found = question.answer
        else:
            found = {
                "ok": False,
                "error": "TimeoutError",
                "ms": round((time.monotonic() - question.began) * 1000, 1),
            }
        checks[dependency.name] = {**found, "optional": dependency.optional}
    return Report(
        ready=all(check["ok"] or check["optional"] for check in checks.values()),
        degraded=not all(check["ok"] for check in checks.values()),
        checks=checks,
    )


def _question(dependency: Dependency) -> _Question:
    """The question under way where there is one: many who ask at once are one question."""
    key = (os.getpid(), dependency.name)
    with _lock:
        open_questions = [question for question in _asked.get(key, []) if not question.answered.is_set()]
        newest = open_questions[-1] if open_questions else None
        is_hanging = newest is not None and time.monotonic() - newest.began > ABANDONED_SECONDS
        if newest is None or (is_hanging and len(open_questions) < MAX_HANGING):
            newest = _Question(dependency)
            open_questions.append(newest)
        _asked[key] = open_questions
        return newest

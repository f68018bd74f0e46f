"""Probes many dependencies at once, each for a bounded time: a hanging one delays no other and accumulates no threads.

Here: threads and deadlines. Not here: the checks (`dependencies.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

DEADLINE_SECONDS = 1.5
# A probe connects within this time, so that it fails with its own error before the deadline.
CONNECT_SECONDS = 1.0
# A probe unanswered for this long is abandoned and started anew; at most MAX_HANGING of one dependency are left
# hanging.
ABANDONED_SECONDS = 10.0
MAX_HANGING = 3
RECENT_SECONDS = 1.0
Details = dict[str, Any]


class Dependency(NamedTuple):
    """A dependency of this process, which can do without an `optional` one for a while.

    `ask` returns further details and raises any error; only the error's type is reported.
    """

    name: str
    ask: Callable[[], Details | None]
    optional: bool = False


class Report(NamedTuple):
    """The result: `ready` is false when a required dependency does not answer, `degraded` true when any does not."""

    ready: bool
    degraded: bool
    checks: dict[str, Details]


class _Probe:
    """One probe of one dependency, on a daemon thread of its own."""

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
        except Exception as problem:  # noqa: BLE001 - after any error the dependency is not ready
            error = type(problem).__name__
        ms = round((time.monotonic() - self.began) * 1000, 1)
        self.answer = {"ok": not error, "error": error, "ms": ms, **(details or {})}
        self.answered.set()


_pending: dict[tuple[int, str], list[_Probe]] = {}
_lock = threading.Lock()


class Recent:
    """A report that is made at most once a second however often it is asked for, since strangers may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._report: Report | None = None

    def report(self, dependencies: Iterable[Dependency]) -> Report:
        """The last report, or a new one where that is older."""
        with self._lock:
            if self._report is None or time.monotonic() > self._until:
                self._report = report(dependencies)
                self._until = time.monotonic() + RECENT_SECONDS
            return self._report


def report(dependencies: Iterable[Dependency], *, seconds: float = DEADLINE_SECONDS) -> Report:
    """Probe all at once and wait no longer than `seconds` for all of them together."""
    deadline = time.monotonic() + seconds
    probes = [(dependency, _probe_of(dependency)) for dependency in dependencies]
    checks: dict[str, Details] = {}
    for dependency, probe in probes:
        if probe.answered.wait(max(deadline - time.monotonic(), 0)):
            outcome = probe.answer
        else:
            outcome = {
                "ok": False,
                "error": "TimeoutError",
                "ms": round((time.monotonic() - probe.began) * 1000, 1),
            }
        checks[dependency.name] = {**outcome, "optional": dependency.optional}
    return Report(
        ready=all(check["ok"] or check["optional"] for check in checks.values()),
        degraded=not all(check["ok"] for check in checks.values()),
        checks=checks,
    )


def _probe_of(dependency: Dependency) -> _Probe:
    """The probe under way where there is one: simultaneous requests share it."""
    key = (os.getpid(), dependency.name)
    with _lock:
        open_probes = [probe for probe in _pending.get(key, []) if not probe.answered.is_set()]
        newest = open_probes[-1] if open_probes else None
        is_hanging = newest is not None and time.monotonic() - newest.began > ABANDONED_SECONDS
        if newest is None or (is_hanging and len(open_probes) < MAX_HANGING):
            newest = _Probe(dependency)
            open_probes.append(newest)
        _pending[key] = open_probes
        return newest

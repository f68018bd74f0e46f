"""Counts, in each process, the calls of services with a canary and the first events of each unit, and reports both.

A caller hands a call over in a microsecond; a thread does the rest each half second. While the database is unreachable
the counts wait, and calls beyond the queue are dropped for both sides alike.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.core.flags import snapshot
from apps.core.interface.errors import Category, FailureKind
from apps.core.interface.operations import Kind, Operation
from apps.core.seam.client.call_observer import ObservedCall
from apps.core.seam.client.comparison import Verdict
from apps.extraction.routing.canary import latencies
from apps.extraction.routing.canary.outcomes import is_accepted
from apps.extraction.routing.judge.measures import Event

EACH_SECONDS = 0.5
# Seconds. Counts of calls are reported often while a step is young; a step that is held for days would fill the table.
CALLS_EACH_SECONDS, LATER_EACH_SECONDS, YOUNG_SECONDS = 2.0, 30.0, 900.0
MOST_QUEUED = 20_000
# The last calls of a unit that are remembered, the failures among them that count, and the most units.
LAST_CALLS, FAILED_OF_THEM = 10, 3
MOST_UNITS = 50_000
log = structlog.get_logger(__name__)

WATCHED = """
SELECT id, service, step, rules, thresholds, extract(epoch FROM statement_timestamp() - step_started_at)
FROM extraction_canarydeployment WHERE ended_at IS NULL
"""
REPORT_FIRSTS = """
INSERT INTO extraction_canaryfirst (canary_id, step, event, unit, away)
SELECT canary, step, event, unit, away FROM jsonb_to_recordset(%s::jsonb)
    AS row(canary uuid, step smallint, event text, unit bigint, away boolean)
WHERE EXISTS (SELECT FROM extraction_canarydeployment d WHERE d.id = row.canary)
ORDER BY canary, step, event, unit  -- two processes that report the same wait for each other in one order
ON CONFLICT DO NOTHING
"""
REPORT_CALLS = """
INSERT INTO extraction_canarycalls (canary_id, step, method, away, process, calls, errors, refused, times)
SELECT canary, step, method, away, process, calls, errors, refused, ARRAY(SELECT jsonb_array_elements_text(times)::integer)
FROM jsonb_to_recordset(%s::jsonb) AS row(canary uuid, step smallint, method text, away boolean, process text, calls integer,
    errors integer, refused integer, times jsonb)
WHERE EXISTS (SELECT FROM extraction_canarydeployment d WHERE d.id = row.canary)
"""
REPORT_PROCESS = """
INSERT INTO extraction_callobserver (process) VALUES (%s) ON CONFLICT (process) DO UPDATE SET at = statement_timestamp()
"""


class WatchedCanary(NamedTuple):
    """A canary as an observer needs it.

    Shares in percent; `slow`: the local 95 % and 99.9 % quantile by method, s; `age` in s.
    """

    canary: str
    service: str
    step: int
    before: float
    share: float
    allowed_slower_ms: float
    allowed_slower: float
    slow: dict[str, tuple[float | None, float | None]]
    age: float

    @property
    def flag(self) -> str:
        """The name of the flag that draws the sides."""
        return f"{self.service}{snapshot.REMOTE}"

    def went_as_drawn(self, unit: str, *, is_remote: bool) -> bool:
        """Whether the call went where this step sends the unit.

        False for listed actors, and for a route decided before the flag was changed.
        """
        return is_remote == (self._place(unit) < self.share)

    def draws(self, unit: str) -> bool:
        """Whether a unit's side was drawn in this step: not if it was remote before, and not if it is listed."""
        is_listed = unit in snapshot.current().get(self.flag, snapshot.OFF).actors
        return not is_listed and (self._place(unit) >= self.before or self.share >= 100)

    def _place(self, unit: str) -> float:
        return snapshot.bucket(self.flag, unit) / 100


class Tally:
    """One side's calls of one method since the last report."""

    def __init__(self) -> None:
        self.calls = self.errors = self.refused = 0
        self.times = [0] * latencies.COUNT


class Observer:
    """Takes calls from the seam, and comparisons from the shadow's recorder."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._name = f"{socket.gethostname()[:48]}:{os.getpid()}"
        self._calls: deque[ObservedCall] = deque(maxlen=MOST_QUEUED)
        self._comparisons: deque[tuple[Operation, str, Verdict]] = deque(maxlen=MOST_QUEUED)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.watched: dict[str, WatchedCanary] = {}
        self._reported: set[tuple[str, int, str, int]] = set()
        self._firsts: list[dict[str, Any]] = []
        self._tallies: dict[tuple[str, int, str, bool], Tally] = {}
        self._recent: dict[tuple[str, str], deque[bool]] = {}
        self._calls_reported_at = time.monotonic()

    def take(self, call: ObservedCall) -> None:
        """Queue a call. Never waits."""
        self._calls.append(call)
        self._ensure_thread()

    def compared(self, operation: Operation, unit: str, verdict: Verdict) -> None:
        """Queue the result of a shadow comparison of one query of a unit."""
        self._comparisons.append((operation, unit, verdict))
        self._ensure_thread()

    def _ensure_thread(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive() and self._pid == os.getpid():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="observer", daemon=True)
                thread.start()
                self._thread = thread

    def begin_anew(self) -> None:
        """Reset in a forked child: it has no thread, and the queued calls are the parent's to report."""
        self.__init__()  # type: ignore[misc]  # callers hold this object, so it is reset in place

    def _run(self) -> None:
        while True:
            try:
                self.work()
                close_old_connections()
            except DatabaseError as error:
                log.warning("observer_waits", error=str(error))
                connection.close()
            except Exception as error:  # noqa: BLE001 - an error must not end the counting
                log.warning("observer_stumbled", error=repr(error))
            threading.Event().wait(EACH_SECONDS)

    def work(self) -> None:
        """Read the open canaries, count the queued calls, report. Raises: DatabaseError; unreported counts are kept."""
        self.watched = {watched.service: watched for watched in _read_watched()}
        self._count()
        self._report()

    def _count(self) -> None:
        while self._calls:
            call = self._calls.popleft()
            watched = self.watched.get(call.operation.service)
            if watched is not None:
                self._count_one(watched, call)
        while self._comparisons:
            operation, unit, verdict = self._comparisons.popleft()
            watched = self.watched.get(operation.service)
            if watched is not None and verdict in {Verdict.MATCH, Verdict.MISMATCH}:
                # Once for each person and query: a person who asks often would otherwise meet every rare difference.
                person_and_query = f"{unit} {operation.name}"
                is_first = self._first(watched, Event.COMPARED, person_and_query, is_remote=False)
                if is_first and verdict is Verdict.MISMATCH:
                    self._first(watched, Event.MISMATCHED, person_and_query, is_remote=False)

    def _count_one(self, watched: WatchedCanary, call: ObservedCall) -> None:
        if call.because == FailureKind.FULL.value:
            return  # nothing was sent: this process had too many calls under way, which says nothing about either side
        is_remote = call.chosen == "away"
        if not watched.went_as_drawn(call.unit, is_remote=is_remote):
            return
        is_error = call.answered != call.chosen or call.outcome in {"fault", Category.UNAVAILABLE.value}
        tally = self._tallies.setdefault((watched.canary, watched.step, call.operation.name, is_remote), Tally())
        tally.calls += 1
        tally.errors += is_error
        tally.refused += not is_error and call.outcome != "ok"
        tally.times[latencies.bucket(call.seconds)] += 1
        if watched.draws(call.unit):
            for event in self._events(watched, call, is_remote=is_remote, is_error=is_error):
                self._first(watched, event, call.unit, is_remote=is_remote)

    def _events(
        self, watched: WatchedCanary, call: ObservedCall, *, is_remote: bool, is_error: bool
    ) -> Iterable[Event]:
        yield Event.SEEN
        if is_error:
            yield Event.ERROR
        if self._fails_often(watched.service, call.unit, is_error=is_error):
            yield Event.ERRORS
        if not is_error and call.operation.kind is Kind.COMMAND:
            yield Event.ACCEPTED if is_accepted(call) else Event.REFUSED
        seconds = call.seconds
        if is_remote:
            seconds = (seconds - watched.allowed_slower_ms / 1000) / (1 + watched.allowed_slower)
        slow, very_slow = watched.slow.get(call.operation.name, (None, None))
        if slow is not None and seconds > slow:
            yield Event.SLOW
        if very_slow is not None and seconds > very_slow:
            yield Event.VERY_SLOW

    def _fails_often(self, service: str, unit: str, *, is_error: bool) -> bool:
        recent = self._recent.get((service, unit))
        if recent is None:
            if not is_error or len(self._recent) >= MOST_UNITS:
                return False
            recent = self._recent[service, unit] = deque(maxlen=LAST_CALLS)
        recent.append(is_error)
        return sum(recent) >= FAILED_OF_THEM

    def _first(self, watched: WatchedCanary, event: Event, unit: str, *, is_remote: bool) -> bool:
        """Report an event of a unit if it is the first in this process and step; returns whether it is."""
        digest = int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest(), signed=True)
        key = (watched.canary, watched.step, event.value, digest)
        if key in self._reported:
            return False
        if len(self._reported) >= 10 * MOST_UNITS:
            self._reported.clear()  # the database refuses duplicates too; this only saves statements
        self._reported.add(key)
        self._firsts.append(
            {"canary": watched.canary, "step": watched.step, "event": event.value, "unit": digest, "away": is_remote}
        )
        return True

    def _report(self) -> None:
        with connection.cursor() as cursor:
            if self._firsts:
                cursor.execute(REPORT_FIRSTS, [msgspec.json.encode(self._firsts).decode()])
                self._firsts = []
            if self._tallies and time.monotonic() - self._calls_reported_at >= self._report_seconds():
                cursor.execute(REPORT_CALLS, [msgspec.json.encode(self._rows()).decode()])
                self._tallies = {}
                self._calls_reported_at = time.monotonic()
            if self.watched:
                cursor.execute(REPORT_PROCESS, [self._name])
            else:
                self._recent.clear()
                self._reported.clear()

    def _report_seconds(self) -> float:
        youngest = min((watched.age for watched in self.watched.values()), default=0.0)
        return CALLS_EACH_SECONDS if youngest < YOUNG_SECONDS else LATER_EACH_SECONDS

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "canary": canary,
                "step": step,
                "method": method,
                "away": is_remote,
                "process": self._name,
                "calls": tally.calls,
                "errors": tally.errors,
                "refused": tally.refused,
                "times": tally.times,
            }
            for (canary, step, method, is_remote), tally in self._tallies.items()
        ]


def _read_watched() -> Iterable[WatchedCanary]:
    with connection.cursor() as cursor:
        cursor.execute(WATCHED)
        rows = cursor.fetchall()
    for canary, service, step, rules_json, thresholds_json, age in rows:
        rules, thresholds = (
            msgspec.json.decode(value) if isinstance(value, str) else value for value in (rules_json, thresholds_json)
        )
        steps = rules["steps"]
        yield WatchedCanary(
            canary=str(canary),
            service=service,
            step=step,
            before=float(steps[step - 1]) if step else 0.0,
            share=float(steps[step]),
            allowed_slower_ms=float(rules["allowed_slower_ms"]),
            allowed_slower=float(rules["allowed_slower"]),
            slow={method: (pair[0], pair[1]) for method, pair in thresholds.items()},
            age=float(age),
        )


observer = Observer()
os.register_at_fork(after_in_child=observer.begin_anew)

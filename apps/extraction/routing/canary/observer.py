"""One per process: counts the calls of services with a canary, notices what happens to a unit for the first time, and reports both.

A caller hands a call over in a microsecond; a thread does the rest each half second. When the database is away the counts wait, and
what does not fit is dropped for both sides alike.
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
from apps.extraction.routing.canary.outcomes import did_what_was_asked
from apps.extraction.routing.judge.measures import Event

EACH_SECONDS = 0.5
# Counts of calls are reported often while a step is young; one that is held for days would fill the table.
CALLS_EACH_SECONDS, LATER_EACH_SECONDS, YOUNG_SECONDS = 2.0, 30.0, 900.0
MOST_WAITING = 20_000
# So many of a unit's last calls are remembered, and so many units.
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
REPORT_OURSELVES = """
INSERT INTO extraction_callobserver (process) VALUES (%s) ON CONFLICT (process) DO UPDATE SET at = statement_timestamp()
"""


class Watched(NamedTuple):
    """A canary as an observer needs it. Shares in percent; `slow` is home's 95 % and 99.9 % quantile by method, s."""

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

    def is_there(self, unit: str, *, away: bool) -> bool:
        """Whether the call went where this step sends the unit: not who is listed, and not by a route decided before the flag was turned."""
        return away == (self._place(unit) < self.share)

    def draws(self, unit: str) -> bool:
        """Whether a unit's side was drawn in this step: who was away before it had no chance of home, who is listed never any."""
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
        self._waiting: deque[ObservedCall] = deque(maxlen=MOST_WAITING)
        self._compared: deque[tuple[Operation, str, Verdict]] = deque(maxlen=MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.watched: dict[str, Watched] = {}
        self._known: set[tuple[str, int, str, int]] = set()
        self._firsts: list[dict[str, Any]] = []
        self._tallies: dict[tuple[str, int, str, bool], Tally] = {}
        self._failing: dict[tuple[str, str], deque[bool]] = {}
        self._calls_reported_at = time.monotonic()

    def take(self, seen: ObservedCall) -> None:
        """Take a call. Never waits."""
        self._waiting.append(seen)
        self._be_there()

    def compared(self, operation: Operation, unit: str, verdict: Verdict) -> None:
        """Take what shadowing found about one query of a unit."""
        self._compared.append((operation, unit, verdict))
        self._be_there()

    def _be_there(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive() and self._pid == os.getpid():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="observer", daemon=True)
                thread.start()
                self._thread = thread

    def begin_anew(self) -> None:
        """In a forked child: the thread stayed behind, and what waited is the parent's to report."""
        self.__init__()  # type: ignore[misc]  # the same object, which callers hold, as if it were new

    def _run(self) -> None:
        while True:
            try:
                self.work()
                close_old_connections()
            except DatabaseError as error:
                log.warning("observer_waits", error=str(error))
                connection.close()
            except Exception as error:  # noqa: BLE001 - what cannot be counted must not end the counting
                log.warning("observer_stumbled", error=repr(error))
            threading.Event().wait(EACH_SECONDS)

    def work(self) -> None:
        """Read which canaries there are, count what waits, report. Raises: DatabaseError; what was not reported is kept."""
        self.watched = {watched.service: watched for watched in _read_watched()}
        self._count()
        self._report()

    def _count(self) -> None:
        while self._waiting:
            seen = self._waiting.popleft()
            watched = self.watched.get(seen.operation.service)
            if watched is not None:
                self._count_one(watched, seen)
        while self._compared:
            operation, unit, verdict = self._compared.popleft()
            watched = self.watched.get(operation.service)
            if watched is not None and verdict in {Verdict.MATCH, Verdict.MISMATCH}:
                # Once for each person and query: who asks often would otherwise meet every rare difference some time.
                asked = f"{unit} {operation.name}"
                is_first = self._first(watched, Event.COMPARED, asked, away=False)
                if is_first and verdict is Verdict.MISMATCH:
                    self._first(watched, Event.MISMATCHED, asked, away=False)

    def _count_one(self, watched: Watched, seen: ObservedCall) -> None:
        if seen.because == FailureKind.FULL.value:
            return  # nothing was sent: this process had too many calls under way, which says nothing about the side
        away = seen.chosen == "away"
        if not watched.is_there(seen.unit, away=away):
            return
        is_error = seen.answered != seen.chosen or seen.outcome in {"fault", Category.UNAVAILABLE.value}
        tally = self._tallies.setdefault((watched.canary, watched.step, seen.operation.name, away), Tally())
        tally.calls += 1
        tally.errors += is_error
        tally.refused += not is_error and seen.outcome != "ok"
        tally.times[latencies.bucket(seen.seconds)] += 1
        if watched.draws(seen.unit):
            for event in self._events(watched, seen, away=away, is_error=is_error):
                self._first(watched, event, seen.unit, away=away)

    def _events(self, watched: Watched, seen: ObservedCall, *, away: bool, is_error: bool) -> Iterable[Event]:
        yield Event.SEEN
        if is_error:
            yield Event.ERROR
        if self._fails_often(watched.service, seen.unit, is_error=is_error):
            yield Event.ERRORS
        if not is_error and seen.operation.kind is Kind.COMMAND:
            yield Event.ACCEPTED if did_what_was_asked(seen) else Event.REFUSED
        seconds = seen.seconds
        if away:
            seconds = (seconds - watched.allowed_slower_ms / 1000) / (1 + watched.allowed_slower)
        slow, very_slow = watched.slow.get(seen.operation.name, (None, None))
        if slow is not None and seconds > slow:
            yield Event.SLOW
        if very_slow is not None and seconds > very_slow:
            yield Event.VERY_SLOW

    def _fails_often(self, service: str, unit: str, *, is_error: bool) -> bool:
        last = self._failing.get((service, unit))
        if last is None:
            if not is_error or len(self._failing) >= MOST_UNITS:
                return False
            last = self._failing[service, unit] = deque(maxlen=LAST_CALLS)
        last.append(is_error)
        return sum(last) >= FAILED_OF_THEM

    def _first(self, watched: Watched, event: Event, unit: str, *, away: bool) -> bool:
        """Report an event of a unit, if it is the first here; whether it is."""
        digest = int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest(), signed=True)
        known = (watched.canary, watched.step, event.value, digest)
        if known in self._known:
            return False
        if len(self._known) >= 10 * MOST_UNITS:
            self._known.clear()  # the database knows them too; this only saves asking it
        self._known.add(known)
        self._firsts.append(
            {"canary": watched.canary, "step": watched.step, "event": event.value, "unit": digest, "away": away}
        )
        return True

    def _report(self) -> None:
        with connection.cursor() as cursor:
            if self._firsts:
                cursor.execute(REPORT_FIRSTS, [msgspec.json.encode(self._firsts).decode()])
                self._firsts = []
            if self._tallies and time.monotonic() - self._calls_reported_at >= self._patience():
                cursor.execute(REPORT_CALLS, [msgspec.json.encode(self._rows()).decode()])
                self._tallies = {}
                self._calls_reported_at = time.monotonic()
            if self.watched:
                cursor.execute(REPORT_OURSELVES, [self._name])
            else:
                self._failing.clear()
                self._known.clear()

    def _patience(self) -> float:
        youngest = min((watched.age for watched in self.watched.values()), default=0.0)
        return CALLS_EACH_SECONDS if youngest < YOUNG_SECONDS else LATER_EACH_SECONDS

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "canary": canary,
                "step": step,
                "method": method,
                "away": away,
                "process": self._name,
                "calls": tally.calls,
                "errors": tally.errors,
                "refused": tally.refused,
                "times": tally.times,
            }
            for (canary, step, method, away), tally in self._tallies.items()
        ]


def _read_watched() -> Iterable[Watched]:
    with connection.cursor() as cursor:
        cursor.execute(WATCHED)
        rows = cursor.fetchall()
    for canary, service, step, rules_json, thresholds_json, age in rows:
        rules, thresholds = (
            msgspec.json.decode(value) if isinstance(value, str) else value for value in (rules_json, thresholds_json)
        )
        steps = rules["steps"]
        yield Watched(
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

"""One rollout under load: deployed, broken, watched, and measured."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import connection
from django.utils import translation
from psycopg import sql

from apps.core.flags.snapshot import bucket
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.metrics import state_of
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.routing.judge import explanation as explaining
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.state.initiator import Initiator
from landcontracts.embedded import postgres
from tests.drills import kill_faults
from tests.drills.canary_load import Load, Request, percentiles
from tests.drills.canary_proxy import HANG, Fault

if TYPE_CHECKING:
    from tests.drills.canary_stage import Stage

POLL_SECONDS = 0.1
ENOUGH_REMOTE = 3
# A request that met a hanging service waited at least as long as a trial call of its breaker.
HELD_UP_SECONDS = 0.25
BY_HAND = "drill by hand"
REPORTED_TO = ("extraction_canaryfirst", "extraction_canarycalls", "extraction_callobserver")
OVER = ("promoted", "rolled_back", "awaiting")


class TooLong(Exception):
    """A condition was not met in time."""


class Rollout:
    """A canary from its deployment to its end. Unmet expectations are in `complaints`."""

    def __init__(self, stage: Stage, rules: dict[str, Any], seconds: float) -> None:
        self.stage, self.rules = stage, Rules(**rules)
        self.load: Load = stage.load
        self.people = len(stage.people.members)
        self.complaints: list[str] = []
        self.facts: dict[str, Any] = {}
        self._settled: tuple[str, str, float] | None = None
        self._held_up = math.inf
        self._flag = f"{stage.service}_remote"
        self._deadline = time.monotonic() + seconds
        self._fell_back = stage.fell_back()
        canary = controller.deploy(stage.service, self.rules, Initiator("drill", "make drill-canary", "drill"))
        self.id, self.began = canary.id, canary.started_at.timestamp()
        self.broken_at: float | None = None

    # Faults and interventions.

    def break_with(self, fault: Fault) -> None:
        """Break its calls from now on."""
        self.broken_at = self.stage.proxy.break_with(fault)
        self._held_up = fault.seconds or (HELD_UP_SECONDS if fault.kind == HANG else math.inf)

    def break_begins(self) -> None:
        """Measure from now on, for a fault that the proxy does not cause."""
        self.broken_at = time.time()

    def kill_lifted(self) -> None:
        """Kill -9 of the whole lifted-out service."""
        self.break_begins()
        self.stage.kill_lifted()

    def manage(self, action: str) -> None:
        """`manage.py extraction SERVICE canary ACTION`, as an administrator would. Raises: StartFailed."""
        self.stage.stack.manage("extraction", self.stage.service, "canary", action, "--reason", BY_HAND)

    def restart_web(self) -> None:
        """End the web server and start another at its address; requests wait meanwhile, as behind a load balancer."""
        self.load.pause()
        self.stage.restart_web()
        self.load.pace(self.load.rate)

    @contextmanager
    def pressed(self) -> Iterator[None]:
        """For the length of a block, run two processes that only compute."""
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        try:
            yield
        finally:
            for process in busy:
                process.kill()
                process.wait()

    @contextmanager
    def without_judge(self) -> Iterator[None]:
        """For the length of a block, the worker and its clock are stopped (SIGSTOP)."""
        stopped = kill_faults.stop(self.stage.process("worker").pid)
        try:
            yield
        finally:
            kill_faults.resume(stopped)

    @contextmanager
    def without_reports(self) -> Iterator[None]:
        """For the length of a block, the observers may not write to the tables that they report to."""
        names = sql.SQL(", ").join(map(sql.Identifier, REPORTED_TO))
        change = sql.SQL("{} INSERT, UPDATE ON {} {} {}")
        role = sql.Identifier(postgres.APP)
        with psycopg.connect(self.stage.stack.owner_url, autocommit=True) as owner:
            owner.execute(change.format(sql.SQL("REVOKE"), names, sql.SQL("FROM"), role))
            try:
                yield
            finally:
                owner.execute(change.format(sql.SQL("GRANT"), names, sql.SQL("TO"), role))

    # Conditions to wait for.

    def until(self, good: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds. Raises: TooLong."""
        while not good():
            if time.monotonic() > self._deadline:
                raise TooLong(f"{what} did not come in time")
            time.sleep(POLL_SECONDS)

    def until_over(self) -> None:
        """Wait until it has ended, or awaits an administrator."""
        self.until(lambda: self.state() in OVER, "an end")

    def until_state(self, state: str) -> None:
        """Wait until it is in a state."""
        self.until(lambda: self.state() == state, state)

    def until_step(self, step: int) -> None:
        """Wait until it has reached a step."""
        self.until(lambda: self.read().step >= step, f"step {step}")

    def until_used(self) -> None:
        """Wait until it has answered a few requests."""
        self.until(
            lambda: sum(request.is_remote for request in self.load.since(self.began)) >= ENOUGH_REMOTE, "a call of it"
        )

    def until_judged(self) -> None:
        """Wait until the judge has judged it."""
        self.until(lambda: self.read().judged_at is not None, "a judgement")

    def sides_for(self, seconds: float) -> dict[str, set[bool]]:
        """Over some seconds, on which sides each person was answered, True for remote."""
        began = time.time()
        time.sleep(seconds)
        sides: dict[str, set[bool]] = {}
        for request in self.load.since(began):
            if not request.failure:
                sides.setdefault(request.person, set()).add(request.is_remote)
        return sides

    # Measurements.

    def read(self) -> CanaryDeployment:
        """Its present row in the control database."""
        return CanaryDeployment.objects.get(id=self.id)

    def state(self) -> str:
        """Its state, or `not_known`."""
        return state_of(self.read())

    def settle_outcome(self) -> None:
        """Record its present state as its outcome, regardless of what follows."""
        self._settled = self._standing(self.read())

    def judged_age(self) -> float:
        """Seconds since the judge last judged it."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM statement_timestamp() - judged_at) FROM extraction_canarydeployment WHERE id = %s",
                [self.id],
            )
            return float(cursor.fetchone()[0])

    def last_action(self) -> tuple[str, str]:
        """The last action other than a judgement, and its reason."""
        entry = self.read().entries.exclude(action="judge").first()
        return (entry.action, entry.reason) if entry else ("", "")

    def expect(self, good: bool, complaint: str) -> None:
        """Record a complaint unless the condition holds."""
        if not good:
            self.complaints.append(complaint)

    def measured(self) -> dict[str, Any]:
        """Its row of the report. To be called while requests still go on, some seconds after its end."""
        canary = self.read()
        end = canary.ended_at.timestamp() if canary.ended_at else time.time()
        begin = self.broken_at if self.broken_at is not None else self.began
        requests = self.load.since(self.began)
        theirs = [request for request in requests if self._is_canarys(request)]
        until_end = [request for request in theirs if begin <= request.at <= end]
        after = [request for request in requests if request.is_remote and request.answered_at >= end]
        is_rolled_back = canary.state == "rolled_back"
        slowed = [request for request in theirs if request.at >= begin and request.milliseconds >= self._held_up * 1000]
        outcome, explanation, share = self._settled or self._standing(canary)
        failed = [request.failure for request in requests if request.failure]
        self.complaints.extend(failed[:5])
        return {
            "outcome": outcome,
            "seconds": round(end - begin, 1),
            "last_away_seconds": round(max((request.answered_at for request in after), default=end) - end, 2)
            if is_rolled_back
            else None,
            "share": share,
            "canary_requests": len(until_end),
            "failed_requests": len(failed),
            "affected_requests": len({*(request for request in requests if request.harmed), *slowed}),
            "explanation": explanation,
            "answered_at_home": dict(self.stage.fell_back() - self._fell_back),
            "requests": len(requests),
            "away": percentiles([request for request in requests if request.is_remote]),
            "home": percentiles([request for request in requests if not request.is_remote]),
            "evidence": {name: float(f"{value:.3g}") for name, value in canary.evidence.items()},
            **self.facts,
        }

    def _is_canarys(self, request: Request) -> bool:
        """Whether the flag routed this request's person to the canary when it was sent."""
        share = 0.0
        for at, percent in self._shares:
            if at <= request.at:
                share = percent
        return bucket(self._flag, request.person) < share * 100

    @cached_property
    def _shares(self) -> list[tuple[float, float]]:
        """When each share began. To be read only after the last change."""
        changes = self.read().entries.filter(action__in=("deploy", "go-on", "promote")).order_by("id")
        return [(entry.at.timestamp(), float(entry.share)) for entry in changes]

    def _standing(self, canary: CanaryDeployment) -> tuple[str, str, float]:
        return state_of(canary), self._explanation(canary), self.rules.steps[canary.step]

    @staticmethod
    def _explanation(canary: CanaryDeployment) -> str:
        entry = canary.entries.exclude(judged_because="").first()
        if entry is None:
            return ""
        with translation.override("en"):
            return explaining.words(entry.judged_because, entry.numbers, entry.evidence)

    def tidy(self) -> None:
        """Mend the proxy and route every call to the platform again."""
        self.stage.proxy.mend()
        with contextlib.suppress(controller.CanaryRefused):
            controller.roll_back(self.stage.service, Initiator("drill", "make drill-canary", "tidying"))
        shares.set_share(self.stage.service, "remote", 0)  # type: ignore[arg-type]
        self.load.pace(self.load.rate)

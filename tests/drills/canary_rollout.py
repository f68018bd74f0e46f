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

LOOK_SECONDS = 0.1
ENOUGH_AWAY = 3
# Who met a hanging service waited at least for as long as its breaker tries whether it is back.
HELD_UP_SECONDS = 0.25
BY_HAND = "drill by hand"
REPORTED_TO = ("extraction_canaryfirst", "extraction_canarycalls", "extraction_callobserver")
OVER = ("promoted", "rolled_back", "awaiting")


class TooLong(Exception):
    """What was waited for did not come in time."""


class Rollout:
    """A canary from its deployment to its end. What was expected of it and did not come is in `complaints`."""

    def __init__(self, stage: Stage, rules: dict[str, Any], seconds: float) -> None:
        self.stage, self.rules = stage, Rules(**rules)
        self.load: Load = stage.load
        self.people = len(stage.people.everybody)
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

    # What happens to it.

    def break_with(self, fault: Fault) -> None:
        """Have its calls broken from now on."""
        self.broken_at = self.stage.proxy.break_with(fault)
        self._held_up = fault.seconds or (HELD_UP_SECONDS if fault.kind == HANG else math.inf)

    def break_begins(self) -> None:
        """What is measured from begins now, by another hand than the proxy's."""
        self.broken_at = time.time()

    def kill_lifted(self) -> None:
        """Kill -9 of the whole lifted-out service."""
        self.break_begins()
        self.stage.kill_lifted()

    def manage(self, action: str) -> None:
        """`manage.py extraction SERVICE canary ACTION`, as an administrator would. Raises: StartFailed."""
        self.stage.stack.manage("extraction", self.stage.service, "canary", action, "--reason", BY_HAND)

    def restart_web(self) -> None:
        """End the web server and start another at its address; people wait meanwhile, as behind a load balancer."""
        self.load.pause()
        self.stage.restart_web()
        self.load.pace(self.load.rate)

    @contextmanager
    def pressed(self) -> Iterator[None]:
        """Two processes that only compute, for the time of a block."""
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        try:
            yield
        finally:
            for process in busy:
                process.kill()
                process.wait()

    @contextmanager
    def without_judge(self) -> Iterator[None]:
        """The worker and its clock are stopped (SIGSTOP), and go on afterwards."""
        stopped = kill_faults.stop(self.stage.process("worker").pid)
        try:
            yield
        finally:
            kill_faults.go_on(stopped)

    @contextmanager
    def without_reports(self) -> Iterator[None]:
        """The tables that observers report to refuse them."""
        names = sql.SQL(", ").join(map(sql.Identifier, REPORTED_TO))
        change = sql.SQL("{} INSERT, UPDATE ON {} {} {}")
        role = sql.Identifier(postgres.APP)
        with psycopg.connect(self.stage.stack.owner_url, autocommit=True) as owner:
            owner.execute(change.format(sql.SQL("REVOKE"), names, sql.SQL("FROM"), role))
            try:
                yield
            finally:
                owner.execute(change.format(sql.SQL("GRANT"), names, sql.SQL("TO"), role))

    # What is waited for.

    def until(self, good: Callable[[], bool], what: str) -> None:
        """Look until something is so. Raises: TooLong."""
        while not good():
            if time.monotonic() > self._deadline:
                raise TooLong(f"{what} did not come in time")
            time.sleep(LOOK_SECONDS)

    def until_over(self) -> None:
        """It has ended, or a person is asked."""
        self.until(lambda: self.state() in OVER, "an end")

    def until_state(self, state: str) -> None:
        """It is in a state."""
        self.until(lambda: self.state() == state, state)

    def until_step(self, step: int) -> None:
        """It has come to a step."""
        self.until(lambda: self.read().step >= step, f"step {step}")

    def until_used(self) -> None:
        """A few requests were answered by it."""
        self.until(lambda: sum(one.is_away for one in self.load.since(self.began)) >= ENOUGH_AWAY, "a call of it")

    def until_judged(self) -> None:
        """The judge has looked at it."""
        self.until(lambda: self.read().judged_at is not None, "a look at it")

    def sides_for(self, seconds: float) -> dict[str, set[bool]]:
        """Let people go on for some seconds: on which side each of them was answered, True for away."""
        began = time.time()
        time.sleep(seconds)
        sides: dict[str, set[bool]] = {}
        for one in self.load.since(began):
            if not one.failure:
                sides.setdefault(one.person, set()).add(one.is_away)
        return sides

    # What is seen.

    def read(self) -> CanaryDeployment:
        """As the control database has it now."""
        return CanaryDeployment.objects.get(id=self.id)

    def state(self) -> str:
        """Its state, or `not_known`."""
        return state_of(self.read())

    def settle_outcome(self) -> None:
        """What it is now is its outcome, whatever comes of it afterwards."""
        self._settled = self._standing(self.read())

    def judged_age(self) -> float:
        """How long ago the judge looked at it, s."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM statement_timestamp() - judged_at) FROM extraction_canarydeployment WHERE id = %s",
                [self.id],
            )
            return float(cursor.fetchone()[0])

    def last_action(self) -> tuple[str, str]:
        """What was done last, and why."""
        entry = self.read().entries.exclude(action="judge").first()
        return (entry.action, entry.reason) if entry else ("", "")

    def expect(self, good: bool, complaint: str) -> None:
        """Keep a complaint where something is not as it has to be."""
        if not good:
            self.complaints.append(complaint)

    def measured(self) -> dict[str, Any]:
        """Everything that is told of it. To be called while people still go on, some seconds after its end."""
        canary = self.read()
        end = canary.ended_at.timestamp() if canary.ended_at else time.time()
        begin = self.broken_at if self.broken_at is not None else self.began
        requests = self.load.since(self.began)
        theirs = [one for one in requests if self._is_canarys(one)]
        until_end = [one for one in theirs if begin <= one.at <= end]
        after = [one for one in requests if one.is_away and one.answered_at >= end]
        is_back = canary.state == "rolled_back"
        slowed = [one for one in theirs if one.at >= begin and one.milliseconds >= self._held_up * 1000]
        outcome, explanation, share = self._settled or self._standing(canary)
        failed = [one.failure for one in requests if one.failure]
        self.complaints.extend(failed[:5])
        return {
            "outcome": outcome,
            "seconds": round(end - begin, 1),
            "last_away_seconds": round(max((one.answered_at for one in after), default=end) - end, 2)
            if is_back
            else None,
            "share": share,
            "canary_requests": len(until_end),
            "failed_requests": len(failed),
            "affected_requests": len({*(one for one in requests if one.harmed), *slowed}),
            "explanation": explanation,
            "answered_at_home": dict(self.stage.fell_back() - self._fell_back),
            "requests": len(requests),
            "away": percentiles([one for one in requests if one.is_away]),
            "home": percentiles([one for one in requests if not one.is_away]),
            "evidence": {name: float(f"{value:.3g}") for name, value in canary.evidence.items()},
            **self.facts,
        }

    def _is_canarys(self, one: Request) -> bool:
        """Whether the flag sent this request's person away when it was sent."""
        share = 0.0
        for at, percent in self._shares:
            if at <= one.at:
                share = percent
        return bucket(self._flag, one.person) < share * 100

    @cached_property
    def _shares(self) -> list[tuple[float, float]]:
        """When each share began. To be asked when no more of them come."""
        moves = self.read().entries.filter(action__in=("deploy", "go-on", "promote")).order_by("id")
        return [(entry.at.timestamp(), float(entry.share)) for entry in moves]

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
        """Everybody is at home again, nothing is broken, whatever came of it."""
        self.stage.proxy.mend()
        with contextlib.suppress(controller.CanaryRefused):
            controller.roll_back(self.stage.service, Initiator("drill", "make drill-canary", "tidying"))
        shares.set_share(self.stage.service, "remote", 0)  # type: ignore[arg-type]
        self.load.pace(self.load.rate)

"""Waiting until everything is as it should be: one home, rows travel in both directions, the next switch would be allowed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import DatabaseError, close_old_connections

from apps.core.interface.errors import SeamError
from apps.core.postgres import connections, replication
from apps.datasync.interface import VerificationStatus
from apps.extraction.relocation import preconditions
from apps.extraction.state import checks, stages
from apps.extraction.state.checks import Refused
from apps.extraction.state.stages import SHARED
from tests.drills.kill_controller import Controller
from tests.drills.kill_watch import home_of

STUCK_SECONDS = 60
LOOK_SECONDS = 0.05
VERIFIED = (VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)
AWAY = (psycopg.Error, DatabaseError, SeamError, connections.NoWay, OSError)


class Stuck(Exception):
    """Something does not come right in its time."""


class Waiting:
    """One service between two rounds. `home` is where its data were seen last, `problems` what was found on the way."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.home = SHARED
        self.problems: list[str] = []

    def one_home(self) -> str:
        """Wait until exactly one database lets people write. Raises: Stuck."""
        self._waited(lambda: home_of(self.service), "no home, or two")
        return self.home

    def ready(self) -> None:
        """Wait until the next switch would not be refused, and rows travel in both directions. Raises: Stuck."""
        self.one_home()
        self._waited(self._is_ready, "not ready for the next switch", between=self._follow_again)

    def _waited(
        self, good: Callable[[], str | None], words: str, *, between: Callable[[], None] = lambda: None
    ) -> None:
        deadline = time.monotonic() + STUCK_SECONDS
        problem: Any = None
        while True:
            try:
                if (found := good()) is not None:
                    self.home = found
                    return
            except (*AWAY, Refused, replication.TooSlow, stages.TwoPrimaries) as error:
                problem = error
                close_old_connections()
            if time.monotonic() > deadline:
                raise Stuck(f"{words} for {STUCK_SECONDS} s: {problem!r} {self._fences()}")
            time.sleep(LOOK_SECONDS)
            between()

    def _is_ready(self) -> str | None:
        with stages.pair(self.service) as found:
            observed = stages.observe_with(found)
            if observed.primary is None:
                return None
            before = preconditions.before_cutover if observed.primary == SHARED else preconditions.before_rollback
            checks.require(before(found, observed))
            if observed.own is not None and observed.own.is_subscribed:
                replication.beat(found.shared, found.own, self.service, seconds=1)
            if observed.shared.is_subscribed:
                replication.beat(found.own, found.shared, self.service, seconds=1)
            return observed.primary

    def _follow_again(self) -> None:
        """An abort of what was not closed has ended the synchronisation; a comparison that has failed is begun anew."""
        if self.home != SHARED:
            return
        verbs = [] if self._asked(stages.live_sync) else ["sync"]
        verification = self._asked(stages.latest_verification)
        if verbs or verification is None or verification.status not in VERIFIED:
            if not verbs and verification is not None:
                self.problems.append(f"the verification is {verification.status}: {verification.error}")
            verbs.append("verify")
        for verb in verbs:
            helper = Controller(self.service, verb)
            if not helper.ends(STUCK_SECONDS) or helper.status:
                helper.send(signal.SIGKILL)
                self.problems.append(f"{verb} does not succeed: {helper.said}")

    def _asked(self, question: Callable[[str], Any]) -> Any:
        """An answer of a database that may be starting still. Raises: Stuck."""
        deadline = time.monotonic() + STUCK_SECONDS
        while True:
            try:
                return question(self.service)
            except AWAY as error:
                close_old_connections()
                if time.monotonic() > deadline:
                    raise Stuck(f"nobody answers: {error}") from error
                time.sleep(LOOK_SECONDS)

    def _fences(self) -> str:
        try:
            with stages.pair(self.service) as found:
                sides = (SHARED, self.service)
                return "; ".join(str(stages.side(found.side(alias), self.service, alias)) for alias in sides)
        except AWAY as error:
            return str(error)

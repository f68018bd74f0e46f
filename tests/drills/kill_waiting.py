"""Waits for a healthy state: one primary, replication in both directions, the next switch would be allowed."""

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
from tests.drills.kill_watch import primary_of

STUCK_SECONDS = 60
POLL_SECONDS = 0.05
VERIFIED = (VerificationStatus.RUNNING, VerificationStatus.FOLLOWING)
UNREACHABLE = (psycopg.Error, DatabaseError, SeamError, connections.NoWay, OSError)


class Stuck(Exception):
    """A condition was not met in time."""


class Waiting:
    """One service between two rounds. `primary` is the last known one's alias, `problems` what went wrong meanwhile."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.primary = SHARED
        self.problems: list[str] = []

    def one_primary(self) -> str:
        """Wait until exactly one database accepts writes. Raises: Stuck."""
        self._waited(lambda: primary_of(self.service), "no primary, or two")
        return self.primary

    def ready(self) -> None:
        """Wait until the next switch would not be refused, and rows are replicated in both directions. Raises: Stuck."""
        self.one_primary()
        self._waited(self._is_ready, "not ready for the next switch", between=self._follow_again)

    def _waited(
        self, good: Callable[[], str | None], words: str, *, between: Callable[[], None] = lambda: None
    ) -> None:
        deadline = time.monotonic() + STUCK_SECONDS
        problem: Any = None
        while True:
            try:
                if (alias := good()) is not None:
                    self.primary = alias
                    return
            except (*UNREACHABLE, Refused, replication.TooSlow, stages.TwoPrimaries) as error:
                problem = error
                close_old_connections()
            if time.monotonic() > deadline:
                raise Stuck(f"{words} for {STUCK_SECONDS} s: {problem!r} {self._fences()}")
            time.sleep(POLL_SECONDS)
            between()

    def _is_ready(self) -> str | None:
        with stages.pair(self.service) as pair:
            observed = stages.observe_with(pair)
            if observed.primary is None:
                return None
            before = preconditions.before_cutover if observed.primary == SHARED else preconditions.before_rollback
            checks.require(before(pair, observed))
            if observed.own is not None and observed.own.is_subscribed:
                replication.beat(pair.shared, pair.own, self.service, seconds=1)
            if observed.shared.is_subscribed:
                replication.beat(pair.own, pair.shared, self.service, seconds=1)
            return observed.primary

    def _follow_again(self) -> None:
        """Start the synchronisation again if an abort ended it, and a comparison that has failed."""
        if self.primary != SHARED:
            return
        actions = [] if self._query(stages.live_sync) else ["sync"]
        verification = self._query(stages.latest_verification)
        if actions or verification is None or verification.status not in VERIFIED:
            if not actions and verification is not None:
                self.problems.append(f"the verification is {verification.status}: {verification.error}")
            actions.append("verify")
        for action in actions:
            helper = Controller(self.service, action)
            if not helper.ends(STUCK_SECONDS) or helper.status:
                helper.send(signal.SIGKILL)
                self.problems.append(f"{action} does not succeed: {helper.last_line}")

    def _query(self, question: Callable[[str], Any]) -> Any:
        """The answer of a database that may still be starting. Raises: Stuck."""
        deadline = time.monotonic() + STUCK_SECONDS
        while True:
            try:
                return question(self.service)
            except UNREACHABLE as error:
                close_old_connections()
                if time.monotonic() > deadline:
                    raise Stuck(f"the database does not answer: {error}") from error
                time.sleep(POLL_SECONDS)

    def _fences(self) -> str:
        try:
            with stages.pair(self.service) as pair:
                sides = (SHARED, self.service)
                return "; ".join(str(stages.side(pair.side(alias), self.service, alias)) for alias in sides)
        except UNREACHABLE as error:
            return str(error)

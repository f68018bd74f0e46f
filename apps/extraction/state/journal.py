"""Who did what with a service, why, in which steps and how long each took: kept, and told while it happens."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from apps.extraction.state.models import Move

Tell = Callable[[str], None]


class Journal:
    """One action's record. Between the two commits of a cutover nothing is written: people are waiting.

    `stop_before` names a step before which this process stops itself (SIGSTOP), for those who rehearse what a dead controller
    leaves behind.
    """

    def __init__(
        self,
        service: str,
        verb: str,
        *,
        who: str,
        where: str,
        reason: str,
        tell: Tell,
        stop_before: str = "",
        asked: UUID | None = None,
    ) -> None:
        self.tell = tell
        self._stop_before = stop_before
        self._began = time.monotonic()
        self._is_quiet = False
        self.steps: list[dict[str, Any]] = []
        if asked is None:
            self.move = Move.objects.create(service=service, verb=verb, who=who, where=where, reason=reason)
        else:
            self.move = Move.objects.get(id=asked)

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """A step: told when it begins, recorded when it ends."""
        if name == self._stop_before:
            self._stop_before = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        began = time.monotonic()
        entry: dict[str, Any] = {"step": name, "at_ms": round((began - self._began) * 1000, 1), "detail": detail}
        self.steps.append(entry)
        try:
            yield
        finally:
            entry["took_ms"] = round((time.monotonic() - began) * 1000, 2)
            if not self._is_quiet:
                self._save()
                self.tell(f"{name:<16} {entry['took_ms']:>9.1f} ms  {detail}".rstrip())

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """While people wait: steps are kept in memory and told afterwards."""
        first, self._is_quiet = len(self.steps), True
        try:
            yield
        finally:
            self._is_quiet = False
            self._save()
            for entry in self.steps[first:]:
                self.tell(f"{entry['step']:<16} {entry.get('took_ms', 0):>9.1f} ms  {entry['detail']}".rstrip())

    def note(self, **fields: Any) -> None:
        """Fields of the record: epoch, attempts, pause_ms, checks, plan."""
        for name, value in fields.items():
            setattr(self.move, name, value)
        self._save()

    def end(self, outcome: str, problem: str = "") -> Move:
        """Sign it off."""
        self.move.outcome, self.move.problem, self.move.ended_at = outcome, problem[:4000], timezone.now()
        with contextlib.suppress(DatabaseError):  # what went wrong is more worth knowing than that it could not be kept
            self._save()
        return self.move

    def _save(self) -> None:
        self.move.steps = self.steps
        self.move.save()

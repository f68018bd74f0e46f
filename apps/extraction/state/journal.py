"""The journal of an action: its steps and their durations, saved in its record and written out as they end."""

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

WriteLine = Callable[[str], None]


class Journal:
    """The journal of one action. Between the two commits of a cutover it writes nothing: writes are waiting.

    `stop_before` names a step before which this process stops itself (SIGSTOP), for drills of what a dead controller
    leaves behind.
    """

    def __init__(
        self,
        service: str,
        action: str,
        *,
        who: str,
        where: str,
        reason: str,
        write_line: WriteLine,
        stop_before: str = "",
        asked: UUID | None = None,
    ) -> None:
        self.write_line = write_line
        self._stop_before = stop_before
        self._began = time.monotonic()
        self._is_quiet = False
        self.steps: list[dict[str, Any]] = []
        if asked is None:
            self.move = Move.objects.create(service=service, verb=action, who=who, where=where, reason=reason)
        else:
            self.move = Move.objects.get(id=asked)

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """Time a step; it is saved and written out when it ends."""
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
                self.write_line(f"{name:<16} {entry['took_ms']:>9.1f} ms  {detail}".rstrip())

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Keep steps in memory while writes wait; save and write them out afterwards."""
        first, self._is_quiet = len(self.steps), True
        try:
            yield
        finally:
            self._is_quiet = False
            self._save()
            for entry in self.steps[first:]:
                self.write_line(f"{entry['step']:<16} {entry.get('took_ms', 0):>9.1f} ms  {entry['detail']}".rstrip())

    def note(self, **fields: Any) -> None:
        """Set fields of the record (epoch, attempts, pause_ms, checks, plan) and save it."""
        for name, value in fields.items():
            setattr(self.move, name, value)
        self._save()

    def end(self, outcome: str, problem: str = "") -> Move:
        """Record the outcome and the end."""
        self.move.outcome, self.move.problem, self.move.ended_at = outcome, problem[:4000], timezone.now()
        with contextlib.suppress(DatabaseError):  # the caller needs the first error, not this one
            self._save()
        return self.move

    def _save(self) -> None:
        self.move.steps = self.steps
        self.move.save()

"""`manage.py extraction documents run`: the display and the questions of a run. What is done is in `apps/extraction/course/`."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from apps.extraction import routing
from apps.extraction.canary import steering
from apps.extraction.course import running
from apps.extraction.course.phases import PHASES, QUESTIONS, Decision, Phase
from apps.extraction.management import canaries
from apps.extraction.moving import acting, plans

YES = ("y", "yes", "д", "да")
# A display that is kept in a file has a line only each so often for what is much the same.
EACH_SECONDS = 10.0
PATIENCE_SECONDS = 1_800.0


class Display:
    """Lines on a terminal are written over; elsewhere each is kept, and repeated only now and then."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write
        self._is_terminal = sys.stdout.isatty()
        self._said = ""
        self._at = -EACH_SECONDS
        self._began = time.monotonic()

    def begin(self, phase: Phase) -> None:
        """A phase begins."""
        self.tell(f"[{phase.number}/{len(PHASES)}] {phase.words}  (migrations_playbook/{phase.page})")

    def show(self, words: str) -> None:
        """What goes on in it."""
        now = time.monotonic()
        line = f"      {now - self._began:6.0f} s  {words}"
        if self._is_terminal:
            sys.stdout.write(f"\r\x1b[K{line[:160]}")
            sys.stdout.flush()
        elif words != self._said and now - self._at >= EACH_SECONDS:
            self._said, self._at = words, now
            self._write(line)

    def tell(self, words: str) -> None:
        """Something that stays."""
        if self._is_terminal:
            sys.stdout.write("\r\x1b[K")
        self._write(words)
        self._at = -EACH_SECONDS


def run(service: str, options: dict[str, Any], write: Callable[[str], Any]) -> None:
    """Lead on as far as it goes. Raises: CommandError; one that only waits for a person exits with 3."""
    display = Display(write)
    decided = [one for given in options["decided"] for one in given.replace(",", " ").split()]
    if unknown := set(decided) - set(Decision):
        raise CommandError(f"nobody decides {', '.join(sorted(unknown))}: {', '.join(Decision)}")
    course = running.Course(
        service=service,
        by=acting.By(
            getpass.getuser(),
            "manage.py extraction run",
            options["reason"],
            tell=lambda words: display.tell(f"      {words}"),
        ),
        rules=canaries.rules(options["rule"]),
        decided=decided,
        ask=lambda decision: _ask(service, decision, display),
        begin=display.begin,
        show=display.show,
        patience_seconds=options["patience"],
        least_compared=options["compared"],
    )
    try:
        display.tell(running.run(course))
    except running.Stopped as stopped:
        raise CommandError(str(stopped), returncode=3) from None
    except (*acting.PROBLEMS, steering.CanaryRefused, routing.UnknownService) as error:
        raise CommandError(f"{service}: {error}") from error


def _ask(service: str, decision: Decision, display: Display) -> bool | None:
    """Show the plan and ask; None where no person is at the terminal."""
    if not sys.stdin.isatty():
        return None
    if decision is not Decision.CANARY:
        for line in plans.lines(service, decision.value):
            display.tell(f"      {line}")
    display.tell(f"{QUESTIONS[decision]} [y/N]")
    return sys.stdin.readline().strip().lower() in YES

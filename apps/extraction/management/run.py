"""`manage.py extraction documents run`: the questions of a run, and how it ends. What is done is in `apps/extraction/pipeline/`.

Exit status: 0 at the end of the last phase, 3 where a person has to decide or to look, 130 after Ctrl-C, 1 for what failed.
"""

from __future__ import annotations

import contextlib
import getpass
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from django.core.management.base import CommandError

from apps.extraction.management import canary
from apps.extraction.management.display import Display
from apps.extraction.pipeline import plans, runner
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.pipeline.run import AnotherRun, Pipeline, Stopped
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.state.action import FAILURES
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.phases import Decision

YES = ("y", "yes", "д", "да")
PATIENCE_SECONDS = 1_800.0
ASKS, INTERRUPTED = 3, 130
PROBLEMS = (*FAILURES, controller.CanaryRefused, shares.UnknownService, AnotherRun)


def run(service: str, options: dict[str, Any], write: Callable[[str], Any]) -> None:
    """Lead on as far as it goes. Raises: CommandError, with the exit status."""
    if options["plan"]:
        for line in runner.plan(service):
            write(line)
        return
    display = Display(write)
    pipeline = _course(service, options, display)
    # Told to end by whoever supervises us, or by a terminal that goes away, is the same as Ctrl-C.
    for number in _heard():
        signal.signal(number, signal.default_int_handler)
    try:
        display.write_line(runner.run(pipeline))
    except Stopped as stopped:
        display.end_line()
        raise CommandError(str(stopped), returncode=ASKS) from None
    except PROBLEMS as error:
        display.end_line()
        raise CommandError(f"{service}: {error}") from error
    except KeyboardInterrupt:
        display.end_line()
        raise CommandError(
            "Interrupted. Nothing is undone: a canary is judged and a copy is followed by the worker. "
            "Run this again to go on.",
            returncode=INTERRUPTED,
        ) from None


def _course(service: str, options: dict[str, Any], display: Display) -> Pipeline:
    decided = {one for given in options["decided"] for one in given.replace(",", " ").split()}
    if unknown := decided - set(Decision):
        raise CommandError(f"nobody decides {', '.join(sorted(unknown))}: {', '.join(Decision)}")
    return Pipeline(
        service=service,
        by=Initiator(
            getpass.getuser(),
            "manage.py extraction run",
            options["reason"],
            write_line=display.write_line,
            show=display.show,
        ),
        rules=canary.rules(options["rule"]),
        decided=decided,
        ask=lambda decision: _ask(service, decision, display),
        begin=display.begin,
        show=display.show,
        whole=lambda: _whole(display),
        patience_seconds=options["patience"],
        least_compared=options["compared"],
    )


def _ask(service: str, decision: Decision, display: Display) -> bool | None:
    """Show the plan and ask; None where no person is at the terminal."""
    if not sys.stdin.isatty():
        return None
    if decision.value in ACTIONS:
        for line in plans.lines(service, decision.value):
            display.write_line(line)
    display.write_line(f"{decision.question} [y/N]")
    return sys.stdin.readline().strip().lower() in YES


def _heard() -> list[signal.Signals]:
    """What ends a run; a hang-up that `nohup` has shut out stays so."""
    asked = [signal.SIGINT, signal.SIGTERM]
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*asked, signal.SIGHUP]


@contextlib.contextmanager
def _whole(display: Display) -> Iterator[None]:
    """An interruption waits until what was begun is done; the second one does not."""
    interrupted = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        display.write_line("stopping when this is done, in seconds; once more to stop now")

    before = {number: signal.signal(number, remember) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupted:
        raise KeyboardInterrupt

"""`manage.py extraction documents run`: questions and exit status of a run, which is in `apps/extraction/pipeline/`.

Exit status: 0 at the end of the last phase, 3 if a person has to decide or to look, 130 after Ctrl-C, 1 for a failure.
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
    """Run the pipeline as far as it goes. Raises: CommandError, with the exit status."""
    if options["plan"]:
        for line in runner.plan(service):
            write(line)
        return
    display = Display(write)
    pipeline = _pipeline(service, options, display)
    # A signal of a supervisor, or of a terminal that is closed, is the same as Ctrl-C.
    for number in _interrupts():
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


def _pipeline(service: str, options: dict[str, Any], display: Display) -> Pipeline:
    decided = {name for value in options["decided"] for name in value.replace(",", " ").split()}
    if unknown := decided - set(Decision):
        raise CommandError(f"there is no decision {', '.join(sorted(unknown))}: {', '.join(Decision)}")
    return Pipeline(
        service=service,
        initiator=Initiator(
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
    """Show the plan and ask; None if no person is at the terminal."""
    if not sys.stdin.isatty():
        return None
    if decision.value in ACTIONS:
        for line in plans.lines(service, decision.value):
            display.write_line(line)
    display.write_line(f"{decision.question} [y/N]")
    return sys.stdin.readline().strip().lower() in YES


def _interrupts() -> list[signal.Signals]:
    """The signals that end a run; a hang-up that `nohup` ignores stays ignored."""
    signals = [signal.SIGINT, signal.SIGTERM]
    return signals if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*signals, signal.SIGHUP]


@contextlib.contextmanager
def _whole(display: Display) -> Iterator[None]:
    """Delay an interruption until the block is done; a second one is not delayed."""
    interrupted = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        display.write_line("stopping when this is done, in seconds; once more to stop now")

    before = {number: signal.signal(number, remember) for number in _interrupts()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupted:
        raise KeyboardInterrupt

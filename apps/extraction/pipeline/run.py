"""How a run is led: by whom, by which rules, what was decided before, whom to ask and to tell; and what ends one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.state.initiator import Initiator, Show
from apps.extraction.state.models import Move
from apps.extraction.state.phases import Decision, Phase


class Stopped(Exception):
    """A person has to decide or to look; the message says what, and how to go on."""


class AnotherRun(Exception):
    """Somebody leads this service already; the message says who."""


class Pipeline(NamedTuple):
    """How a run is led.

    `ask` answers a question with yes or no, or None where nobody can be asked. `show` is given what goes on, again and again, with how
    far it is as a part of 1 where that is known. `patience_seconds` is for what people's traffic, a worker or another leader has to
    bring. `whole` is a context in which an interruption waits: a switch is not left between its two commits.
    """

    service: str
    initiator: Initiator
    rules: Rules
    decided: set[str]
    ask: Callable[[Decision], bool | None]
    begin: Callable[[Phase], None]
    show: Show
    whole: Callable[[], AbstractContextManager[None]]
    patience_seconds: float
    least_compared: int


def decide(pipeline: Pipeline, decision: Decision) -> None:
    """Return when it was decided that this is done. Raises: Stopped."""
    if decision.value in pipeline.decided:
        return
    answer = pipeline.ask(decision)
    if answer is None:
        raise Stopped(
            f"{decision.question} If so: manage.py extraction {pipeline.service} run --decided {decision.value}"
        )
    if not answer:
        raise Stopped("Left as it is. Run this again when it is decided.")
    pipeline.decided.add(decision.value)


def act(pipeline: Pipeline, verb: str) -> Move:
    """One action on the service's data, as the command line does it. Raises: FAILURES."""
    pipeline.show(verb, None)
    return ACTIONS[verb].perform(pipeline.service, pipeline.initiator)

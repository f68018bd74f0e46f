"""The parameters of a run: initiator, rules, decisions, callbacks; and the exceptions that end it."""

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
    """A person has to decide or to look; the message says about what, and how to go on."""


class AnotherRun(Exception):
    """Another run leads this service already; the message says which."""


class Pipeline(NamedTuple):
    """The parameters of a run.

    `ask` answers a question with yes or no, or None if no person can be asked. `show` is called repeatedly with the
    progress, in words and as a part of 1 if that is known. `patience_seconds` bounds the wait for people's traffic, a
    worker or another leader. `whole` is a context in which an interruption waits: a switch is not left between its two
    commits.
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
    """Return if the decision was taken, asking if necessary. Raises: Stopped."""
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


def act(pipeline: Pipeline, name: str) -> Move:
    """Perform one action on the service's data, as the command line does. Raises: FAILURES."""
    pipeline.show(name, None)
    return ACTIONS[name].perform(pipeline.service, pipeline.initiator)

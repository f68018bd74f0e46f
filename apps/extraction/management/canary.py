"""`manage.py extraction documents canary deploy --rule step_seconds=60`: lead a canary from the command line, or see how it stands."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller, history, queries
from apps.extraction.routing.canary.metrics import state_of
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.routing.judge import explanation
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.state.initiator import Initiator

ACTIONS = ("status", "deploy", *controller.ACTIONS)
LINES = 10


def lead(service: str, action: str, given: list[str], reason: str) -> Iterator[str]:
    """Do it, then tell how the canary stands. Raises: CommandError."""
    if action not in ACTIONS:
        raise CommandError(f"{action!r} is nothing to do with a canary: {', '.join(ACTIONS)}")
    initiator = Initiator(getpass.getuser(), "manage.py extraction", reason)
    try:
        if action == "deploy":
            controller.deploy(service, rules(given), initiator)
        elif action != "status":
            controller.ACTIONS[action](service, initiator)
    except (controller.CanaryRefused, shares.UnknownService, ValidationError) as error:
        raise CommandError(f"{service} canary {action}: {error}") from None
    for canary in history.newest():
        if service in {canary.service, "all"}:
            yield from _told(canary)


def rules(given: list[str]) -> Rules:
    """The rules with what was given as NAME=VALUE. Raises: CommandError."""
    changes: dict[str, object] = {}
    for one in given:
        name, _, value = one.partition("=")
        if name not in Rules.__struct_fields__ or not value:
            raise CommandError(f"{one!r} is no rule: NAME=VALUE with one of {', '.join(Rules.__struct_fields__)}")
        changes[name] = value.replace(",", " ").split() if name == "steps" else value
    try:
        return msgspec.convert(changes, Rules, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"these rules do not work: {error}") from None


def _told(canary: CanaryDeployment) -> Iterator[str]:
    numbers = canary.numbers
    yield f"{canary.service}  {state_of(canary)}  {queries.rules_of(canary).steps[canary.step]:g} %"
    if numbers:
        yield f"  {explanation.words(canary.judged_because, numbers, canary.evidence)}"
        yield "  evidence  " + "  ".join(f"{name} {value:.3g}" for name, value in canary.evidence.items())
    for entry in canary.entries.exclude(action="judge")[:LINES]:
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.action:<10} {entry.share:>6f} %  {entry.who}  {entry.reason}".rstrip()

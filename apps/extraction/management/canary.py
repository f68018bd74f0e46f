"""`manage.py extraction documents canary deploy --rule step_seconds=60`: lead a canary, or show its state."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from apps.extraction.routing import shares
from apps.extraction.routing.canary import actions as canary_actions
from apps.extraction.routing.canary import controller, history, queries
from apps.extraction.routing.canary.metrics import state_of
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.routing.judge import explanation
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.state.initiator import Initiator

ACTIONS = ("status", "deploy", *(action.name for action in canary_actions.of_people()))
LINES = 10


def lead(service: str, action: str, assignments: list[str], reason: str) -> Iterator[str]:
    """Do the action, then describe the canary. Raises: CommandError."""
    if action not in ACTIONS:
        raise CommandError(f"{action!r} is no action on a canary: {', '.join(ACTIONS)}")
    initiator = Initiator(getpass.getuser(), "manage.py extraction", reason)
    try:
        if action == "deploy":
            controller.deploy(service, rules(assignments), initiator)
        for asked in canary_actions.of_people():
            if asked.perform is not None and asked.name == action:
                asked.perform(service, initiator)
    except (controller.CanaryRefused, shares.UnknownService, ValidationError) as error:
        raise CommandError(f"{service} canary {action}: {error}") from None
    for canary in history.newest():
        if service in {canary.service, "all"}:
            yield from _described(canary)


def rules(assignments: list[str]) -> Rules:
    """The default rules changed by assignments, each NAME=VALUE. Raises: CommandError."""
    changes: dict[str, object] = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in Rules.__struct_fields__ or not value:
            raise CommandError(
                f"{assignment!r} is no rule: NAME=VALUE with one of {', '.join(Rules.__struct_fields__)}"
            )
        changes[name] = value.replace(",", " ").split() if name == "steps" else value
    try:
        return msgspec.convert(changes, Rules, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"these rules do not work: {error}") from None


def _described(canary: CanaryDeployment) -> Iterator[str]:
    numbers = canary.numbers
    yield f"{canary.service}  {state_of(canary)}  {queries.rules_of(canary).steps[canary.step]:g} %"
    if numbers:
        yield f"  judge     {explanation.words(canary.judged_because, numbers, canary.evidence)}"
        yield "  evidence  " + "  ".join(f"{name} {value:.3g}" for name, value in canary.evidence.items())
    for entry in canary.entries.exclude(action="judge")[:LINES]:
        yield f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.action:<10} {entry.share:>6f} %  {entry.who}  {entry.reason}".rstrip()

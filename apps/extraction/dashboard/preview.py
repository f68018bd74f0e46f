"""What an action's page shows before its button: the plan of a move with its checks, and the form that the action wants."""

from __future__ import annotations

from typing import Any

import psycopg
from django.utils.translation import gettext

from apps.core.interface.errors import DomainError, SeamError
from apps.core.postgres import connections
from apps.extraction.dashboard import forms
from apps.extraction.dashboard.cards import Known
from apps.extraction.dashboard.choices import DATA, Choice
from apps.extraction.pipeline import plans
from apps.extraction.state import stages
from apps.extraction.state.checks import Check


def form_of(action: str, known: Known, given: Any) -> Any:
    """The form of an action, empty or with what was sent."""
    if action == "canary-deploy":
        return forms.Deploy(given)
    if action == "shadow":
        return forms.Share(given, initial={"share": known.shadow.percent})
    return forms.Why(given)


def plan_of(known: Known, choice: Choice) -> Any:
    """Steps, locks, pause, dangers and checks of a move; None for what has no plan but its sentence."""
    if choice.group != DATA:
        return None
    try:
        return plans.show(known.service, choice.name)
    except (stages.TwoPrimaries, connections.NoWay, psycopg.Error, DomainError, SeamError) as error:
        seen = str(error).strip().splitlines() or [type(error).__name__]
        check = Check(gettext("look at both databases"), holds=False, seen=seen[0])
        return plans.without_steps(choice.name, check)

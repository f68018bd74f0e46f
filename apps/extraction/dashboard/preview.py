"""The content of an action's page above its button: the plan with its checks, and the action's form."""

from __future__ import annotations

from typing import Any

import psycopg
from django.utils.translation import gettext

from apps.core.interface.errors import DomainError, SeamError
from apps.core.postgres import connections
from apps.extraction.dashboard import forms
from apps.extraction.dashboard.cards import ServiceState
from apps.extraction.dashboard.choices import DATA, Choice
from apps.extraction.pipeline import plans
from apps.extraction.state import stages
from apps.extraction.state.checks import Check


def form_of(action: str, state: ServiceState, submitted: Any) -> Any:
    """The form of an action, empty or bound to the submitted data."""
    if action == "canary-deploy":
        return forms.Deploy(submitted)
    if action == "shadow":
        return forms.Share(submitted, initial={"share": state.shadow.percent})
    return forms.Why(submitted)


def plan_of(state: ServiceState, choice: Choice) -> Any:
    """Steps, locks, pause, dangers and checks of an action on data; None for other actions, which have no plan."""
    if choice.group != DATA:
        return None
    try:
        return plans.show(state.service, choice.name)
    except (stages.TwoPrimaries, connections.NoWay, psycopg.Error, DomainError, SeamError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        check = Check(gettext("read both databases"), holds=False, seen=lines[0])
        return plans.without_steps(choice.name, check)

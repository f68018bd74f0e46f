"""Performs an action submitted on a page: on a canary or a flag in the request, on data by the worker."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from apps.core.flags import snapshot
from apps.extraction.dashboard import probe
from apps.extraction.dashboard.choices import CANARY, FLAGS, Choice
from apps.extraction.pipeline import actions
from apps.extraction.routing import shares
from apps.extraction.routing.canary import actions as canary_actions
from apps.extraction.routing.canary import controller
from apps.extraction.state.initiator import Initiator

WHERE = "admin"


class Refused(Exception):
    """The action was not done; the message says why."""


def act(service: str, choice: Choice, form: Any, *, who: str) -> str:
    """Do the action; returns a sentence that says what was done. Raises: Refused."""
    cleaned, initiator = form.cleaned_data, Initiator(who[:254], WHERE, form.cleaned_data["reason"])
    try:
        if choice.group == CANARY:
            return _canary(service, choice, form, initiator)
        if choice.group == FLAGS:
            return _flag(service, choice, cleaned, initiator)
        actions.ask(service, choice.name, who=who, reason=cleaned["reason"])
        return gettext("Asked for: the worker does it, and the history below shows how it goes.")
    except (controller.CanaryRefused, actions.NotAsked) as error:
        raise Refused(str(error)) from None
    except ValidationError as error:
        raise Refused("; ".join(error.messages)) from None
    finally:
        snapshot.forget()
        probe.forget()


def _canary(service: str, choice: Choice, form: Any, initiator: Initiator) -> str:
    action = canary_actions.ACTIONS[choice.action]
    if action is canary_actions.DEPLOY:
        controller.deploy(service, form.rules(), initiator)
    elif action is canary_actions.PROMOTE:
        controller.promote(service, initiator, position_seen=str(form.data.get("place", "")) or "nowhere")
    elif action.perform is not None:
        action.perform(service, initiator)
    return str(action.answer)


def _flag(service: str, choice: Choice, cleaned: dict[str, Any], initiator: Initiator) -> str:
    with shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
        if choice.name == "home":
            shares.switch_off(service, "remote")
            return gettext("Everybody is served locally.")
        shares.set_share(service, "shadow", cleaned["share"])
    return gettext("The shadowed share is set.")

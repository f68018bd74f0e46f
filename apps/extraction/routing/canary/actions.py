"""The actions on a canary, a record for each: what a person chooses, what the history says, what a page answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.state.initiator import Initiator


class CanaryAction(NamedTuple):
    """One action. `name` is that of its entries in the history, and `done` says what such an entry tells.

    `label` and `answer` are for the page on which a person asks for it, `perform` does it then. `destroys`: it takes
    something away from people.
    """

    name: str
    done: Any
    label: Any = ""
    answer: Any = ""
    perform: Callable[[str, Initiator], CanaryDeployment] | None = None
    destroys: bool = False


DEPLOY = CanaryAction(
    "deploy",
    done=_("Canary deployed"),
    label=_("Deploy a canary"),
    answer=_("The canary is deployed: the first share of people is served remotely, and the judge rules each second."),
)
PROMOTE = CanaryAction(
    "promote",
    done=_("Promoted by hand"),
    label=_("Promote to the next share"),
    answer=_("Promoted."),
    perform=controller.promote,
)
HOLD = CanaryAction("hold", done=_("Held"), label=_("Hold"), answer=_("Held at this share."), perform=controller.hold)
RESUME = CanaryAction(
    "resume",
    done=_("Resumed"),
    label=_("Let the judge lead on"),
    answer=_("The judge leads on."),
    perform=controller.resume,
)
ROLL_BACK = CanaryAction(
    "roll-back",
    done=_("Rolled back"),
    label=_("Serve everybody locally"),
    answer=_("Everybody is served locally; the canary has ended."),
    perform=controller.roll_back,
    destroys=True,
)
# The judge's own.
GO_ON = CanaryAction("go-on", done=_("Next step"))
ASK = CanaryAction("ask", done=_("A person is asked"))

ACTIONS = {action.name: action for action in (DEPLOY, PROMOTE, HOLD, RESUME, ROLL_BACK, GO_ON, ASK)}


def done(name: str) -> str:
    """The words of an entry in the history; of an action that this build does not know, its name."""
    return str(ACTIONS[name].done) if name in ACTIONS else name


def of_people() -> list[CanaryAction]:
    """What a person may ask for while a canary is under way."""
    return [action for action in ACTIONS.values() if action.perform is not None]

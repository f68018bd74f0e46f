"""The actions on a service: which are possible now, why others are not, and a sentence on the effect of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.extraction.dashboard import labels
from apps.extraction.dashboard.cards import ServiceState
from apps.extraction.pipeline.actions import ACTIONS, label_of
from apps.extraction.routing.canary import actions as canary_actions
from apps.extraction.routing.canary import controller, queries
from apps.extraction.routing.canary.actions import CanaryAction
from apps.extraction.routing.canary.models import CanaryState
from apps.extraction.state.action import Action
from apps.extraction.state.phases import STAGES
from apps.extraction.state.stages import Observed, Stage

CANARY, FLAGS, DATA = "canary", "flags", "data"
GROUPS: dict[str, Any] = {CANARY: _("Canary"), FLAGS: _("Flags"), DATA: _("Data")}
FLAG_NAMES: dict[str, Any] = {"shadow": _("Set the shadowed share"), "home": _("Serve everybody locally")}


class Choice(NamedTuple):
    """One action. `refusal` says why it is not possible now, empty if it is; `effect` says what it does."""

    name: str
    group: str
    words: Any
    refusal: str
    effect: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether it makes sense now; its own checks may still refuse it."""
        return not self.refusal

    @property
    def is_grave(self) -> bool:
        """Whether it is marked as taking something away."""
        if self.group == CANARY:
            return canary_actions.ACTIONS[self.action].destroys
        return ACTIONS[self.name].destroys if self.group == DATA else self.name == "home"

    @property
    def action(self) -> str:
        """The name of the action, a canary's without its prefix."""
        return self.name.removeprefix("canary-")


def of(state: ServiceState) -> list[Choice]:
    """Every action on a service, in the order of a migration."""
    observed = state.observed()
    return [*_of_canary(state, observed), *_of_flags(state, observed), *_of_data(state, observed)]


def grouped(choices: list[Choice]) -> list[tuple[Any, list[Choice]]]:
    """The possible choices by group, without empty groups."""
    by_group = [
        (words, [choice for choice in choices if choice.group == name and choice.is_possible])
        for name, words in GROUPS.items()
    ]
    return [(words, possible) for words, possible in by_group if possible]


def find(state: ServiceState, name: str) -> Choice | None:
    """The choice of a name, or None."""
    return next((choice for choice in of(state) if choice.name == name), None)


def _on_canary(action: CanaryAction, refusal: str, effect: str = "") -> Choice:
    return Choice(f"canary-{action.name}", CANARY, action.label, refusal, effect)


def _on_flag(name: str, refusal: str, effect: str) -> Choice:
    return Choice(name, FLAGS, FLAG_NAMES[name], refusal, effect)


def _of_canary(state: ServiceState, observed: Observed | None) -> Iterator[Choice]:
    yield _on_canary(canary_actions.DEPLOY, _not_deployable(state, observed), _deploying(state))
    canary = state.canary
    if canary is None or canary.ended_at is not None:
        for action in canary_actions.of_people():
            yield _on_canary(action, gettext("No canary is under way."))
        return
    rules = queries.rules_of(canary)
    share = labels.percent(rules.steps[canary.step])
    yield _on_canary(canary_actions.PROMOTE, "", _promoting(share, canary.step, rules.steps))
    held = gettext("It is held already.") if canary.state == CanaryState.HELD else ""
    yield _on_canary(
        canary_actions.HOLD,
        held,
        gettext(
            "%(share)s of people stay on the remote process until the canary is resumed or promoted. Harm "
            "still rolls it back."
        )
        % {"share": share},
    )
    runs = gettext("The judge leads it already.") if canary.state == CanaryState.RUNNING else ""
    yield _on_canary(
        canary_actions.RESUME,
        runs,
        gettext(
            "The judge goes on to judge at %(share)s of people, and promotes when it knows that the canary is well."
        )
        % {"share": share},
    )
    yield _on_canary(
        canary_actions.ROLL_BACK,
        "",
        gettext(
            "Everybody is served locally again within a second; calls that are under way end where they "
            "began. None of the %(share)s of people stays on the remote process. The canary ends; another "
            "one can be deployed afterwards."
        )
        % {"share": share},
    )


def _not_deployable(state: ServiceState, observed: Observed | None) -> str:
    if not state.address:
        return gettext("It has no remote process: SEAM_AWAY has no address for it.")
    if state.has_open_canary:
        return gettext("A canary is under way already.")
    if observed is None:
        return gettext("Its stage is not known.")
    if observed.stage not in controller.DEPLOYABLE:
        return gettext("A canary begins with everybody served locally; the stage is “%(stage)s”.") % {
            "stage": STAGES[observed.stage].short
        }
    if state.silence:
        return gettext("Its process does not answer: %(problem)s") % {"problem": state.silence}
    return ""


def _deploying(state: ServiceState) -> str:
    return gettext(
        "The first share of people is served by the process at %(address)s. Who they are is drawn once, "
        "and each keeps their side. The judge rules each second: it goes on to the next share when it "
        "knows that all is well, rolls the canary back when it sees harm, and asks you when it cannot "
        "know."
    ) % {"address": state.address}


def _promoting(share: str, step: int, steps: tuple[float, ...]) -> str:
    if step + 1 < len(steps):
        shares = {"now": share, "next": labels.percent(steps[step + 1])}
        return (
            gettext(
                "The share rises from %(now)s to %(next)s of people now, without waiting for the judge, which "
                "then judges at the new share."
            )
            % shares
        )
    return gettext(
        "The canary ends well: %(now)s of people stay on the remote process, and the judge stops. The "
        "way back is then the flag."
    ) % {"now": share}


def _of_flags(state: ServiceState, observed: Observed | None) -> Iterator[Choice]:
    hindrance = gettext("It has no remote process: SEAM_AWAY has no address for it.") if not state.address else ""
    by_canary = gettext("The canary leads the flags until it ends.") if state.has_open_canary else ""
    yield _on_flag(
        "shadow",
        hindrance or by_canary,
        gettext("Of this share of people the queries are asked of the other side as well, and the answers compared. "
                "People are answered as before and wait for nothing."),
    )  # fmt: skip
    is_all_local = state.remote.everyone is False or not (
        state.remote.everyone or state.remote.percent or state.remote.actors
    )
    already = gettext("Everybody is served locally.") if is_all_local else ""
    is_gone = observed is not None and observed.stage is Stage.DECOMMISSIONED
    gone = gettext("The local service has no right to its data any more.") if is_gone else ""
    yield _on_flag(
        "home",
        hindrance or by_canary or already or gone,
        gettext("%(share)s are served remotely now. From now on everybody is served locally; no data move.")
        % {"share": labels.share(state.remote).capitalize()},
    )


def _of_data(state: ServiceState, observed: Observed | None) -> Iterator[Choice]:
    for action in ACTIONS.values():
        yield Choice(action.name, DATA, action.label, _not_movable(state, observed, action), str(action.effect))


def _not_movable(state: ServiceState, observed: Observed | None, action: Action) -> str:
    if not state.is_movable:
        return gettext("Its data have no database of their own to go to.")
    if state.move is not None and not action.is_way_out:
        return gettext("“%(verb)s” is under way.") % {"verb": label_of(state.move.verb)}
    if observed is None:
        is_possible = action.is_way_out and state.has_two_primaries
        return "" if is_possible else gettext("Its stage is not known.")
    if observed.stage in action.stages or (action.is_way_out and state.move is not None):
        return ""
    names = [str(STAGES[stage].short) for stage in action.stages]
    return gettext("Only at these stages: %(stages)s.") % {"stages": ", ".join(names)}

"""Short words of stages, actions and shares, for pages with little room."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.core.flags.snapshot import FlagState
from apps.extraction.routing.canary import controller
from apps.extraction.state.stages import Stage

# A label of the lane has some 80 pixels.
LANE: dict[Stage, Any] = {
    Stage.IN_PROCESS: pgettext_lazy("stage", "in process"),
    Stage.SHADOW: pgettext_lazy("stage", "shadow"),
    Stage.CANARY: pgettext_lazy("stage", "canary"),
    Stage.REMOTE: pgettext_lazy("stage", "remote"),
    Stage.SYNCING: pgettext_lazy("stage", "copying"),
    Stage.VERIFIED: pgettext_lazy("stage", "verified"),
    Stage.CUTTING: pgettext_lazy("stage", "cutover"),
    Stage.REVERSIBLE: pgettext_lazy("stage", "reversible"),
    Stage.COMMITTED: pgettext_lazy("stage", "for good"),
    Stage.DECOMMISSIONED: pgettext_lazy("stage", "old one gone"),
}
STAGES = tuple(Stage)
EXPLAINED: dict[Stage, Any] = {
    Stage.IN_PROCESS: _("Everything is answered inside the platform's own process."),
    Stage.SHADOW: _("People are answered at home; some of their queries are asked of the lifted-out process as well."),
    Stage.CANARY: _("A share of people is answered by the lifted-out process."),
    Stage.REMOTE: _("Everybody is answered by the lifted-out process. The data are still in the shared database."),
    Stage.SYNCING: _("Rows are being copied to the service's own database, which then follows."),
    Stage.VERIFIED: _("Its own database follows, and every row was found the same. It can be cut over."),
    Stage.CUTTING: _("Between two homes: nobody can write until the cutover is finished or taken back."),
    Stage.REVERSIBLE: _("The data are in its own database; the shared one follows, so that going back loses nothing."),
    Stage.COMMITTED: _("The data are in its own database for good; the old tables are still there, closed."),
    Stage.DECOMMISSIONED: _("The old tables are gone, after a backup of them was restored and compared."),
}
MOVES: dict[str, Any] = {
    "prepare": _("Make its tables"),
    "rehearse": _("Rehearse on copies"),
    "sync": _("Copy and follow"),
    "verify": _("Compare every row"),
    "cutover": _("Cut over"),
    "rollback": _("Roll back"),
    "commit": _("Commit for good"),
    "decommission": _("Decommission the old home"),
    "resume": _("Go on"),
    "abort": _("Abort"),
}
MOVE_EFFECTS: dict[str, Any] = {
    "prepare": _("Its tables are made in its own database. Nobody notices."),
    "rehearse": _("The whole move is played on copies of its tables, which are dropped afterwards. Nobody notices."),
    "sync": _("Every row is copied to its own database, which follows every change from then on. Nobody notices."),
    "verify": _("Every row is compared on both sides, then every row that changes."),
    "cutover": _("Its own database becomes the home. Writes wait for some milliseconds; it can go back without loss."),
    "rollback": _("The shared database becomes the home again, with every write made since."),
    "commit": _("The way back is given up: afterwards the only one is a backup."),
    "decommission": _("The old tables are backed up, the backup is restored and compared, then they are dropped."),
    "resume": _("What was left half-way is finished."),
    "abort": _("What is under way is taken back: the data stay, or are again, where they were before."),
}
CANARY_ACTIONS: dict[str, Any] = {
    "deploy": _("Canary deployed"),
    "go-on": _("Next step"),
    "promote": _("Promoted by hand"),
    "hold": _("Held"),
    "resume": _("Resumed"),
    "ask": _("A person is asked"),
    "roll-back": _("Rolled back"),
}
MEASURES: dict[str, Any] = {
    "errors": _("errors"),
    "latency": _("latency"),
    "mismatches": _("shadow mismatches"),
    "business": _("what people do"),
    "all": _("all together"),
}


def share(state: FlagState) -> str:
    """Who is covered by a flag, in short."""
    if state.everyone is not None:
        return gettext("everybody") if state.everyone else gettext("nobody")
    listed = ""
    if state.actors:
        count = len(state.actors)
        listed = " + " + ngettext("%(count)d person", "%(count)d people", count) % {"count": count}
    return f"{percent(state.percent)}{listed}"


def number(value: float | Decimal) -> str:
    """A number in the reader's way, as plain text: what `localize` gives is marked as safe, which no encoder knows."""
    return str.__str__(localize(value))


def percent(value: float | Decimal, places: int = 2) -> str:
    """A share in percent, without zeros that say nothing."""
    rounded = round(float(value), places)
    return f"{number(int(rounded) if rounded == int(rounded) else rounded)}\N{NO-BREAK SPACE}%"


def milliseconds(seconds: float | None) -> str:
    """A time as milliseconds, to three digits."""
    if seconds is None:
        return "—"
    value = seconds * 1000
    return gettext("%(value)s ms") % {"value": number(round(value) if value >= 100 else round(value, 1))}


def who(name: str) -> str:
    """A name as it is shown; the judge is no person."""
    return gettext("the judge") if name == controller.JUDGE else name

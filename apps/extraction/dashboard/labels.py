"""Short words of stages, actions and shares, for pages with little room."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.core.flags.snapshot import FlagState
from apps.extraction.routing.canary import controller

MEASURES: dict[str, Any] = {
    "errors": _("errors"),
    "latency": _("latency"),
    "mismatches": _("shadow mismatches"),
    "business": _("what people do"),
    "all": _("all together"),
}


def share(state: FlagState) -> str:
    """The people that a flag covers, in short."""
    if state.everyone is not None:
        return gettext("everybody") if state.everyone else gettext("nobody")
    listed = ""
    if state.actors:
        count = len(state.actors)
        listed = " + " + ngettext("%(count)d person", "%(count)d people", count) % {"count": count}
    return f"{percent(state.percent)}{listed}"


def number(value: float | Decimal) -> str:
    """A number in the reader's format, as plain text: `localize` returns a safe string, which no encoder accepts."""
    return str.__str__(localize(value))


def percent(value: float | Decimal, places: int = 2) -> str:
    """A share in percent, without trailing zeros."""
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

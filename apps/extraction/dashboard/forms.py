"""The forms of actions: a reason, a share, a canary's rules, a report's period. Errors are shown at their field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from apps.extraction.routing.judge.measures import Rules

DEFAULTS = Rules()
# The errors of Rules itself, marked here for the message catalogues.
REFUSALS = (
    gettext_noop("steps are rising shares above 0 and up to 100 percent"),
    gettext_noop("false_rollback is a probability above 0 and up to 0.5"),
    gettext_noop("times and least numbers are 1 or more"),
    gettext_noop("rates are between 0 and 1"),
    gettext_noop("what is allowed is not negative, and shadow_percent is 0 to 100"),
)
LONGEST = timedelta(days=3_660)
YEARS = range(2000, 2200)
PLACES = 2
MOST = 1_000_000_000


class Why(forms.Form):
    """The reason, which is kept in the history for ever."""

    reason = forms.CharField(label=_("Why"), max_length=500, help_text=_("Kept in the history with your name."))


class Share(Why):
    """A share of people."""

    share = forms.DecimalField(
        label=_("Share of people, %"), min_value=0, max_value=100, max_digits=5, decimal_places=2, localize=True
    )
    field_order = ("share", "reason")


class Deploy(Why):
    """A canary's rules: three are chosen each time, the others are folded away."""

    steps = forms.CharField(
        # xgettext:no-python-format
        label=_("Steps, % of people"),
        max_length=200,
        help_text=_("Rising shares, such as 1 5 25 50 100."),
    )
    step_seconds = forms.IntegerField(label=_("A step lasts at least, s"), max_value=MOST)
    shadow_percent = forms.FloatField(
        # xgettext:no-python-format
        label=_("Shadowed meanwhile, % of people"),
        localize=True,
        help_text=_("Their queries are asked of both sides and compared."),
    )
    false_rollback = forms.FloatField(
        label=_("A healthy service is rolled back in at most this share of rollouts"), localize=True
    )
    tolerated_errors = forms.FloatField(
        label=_("Goes on when it fails by no more than this beyond the local service (0 to 1)"), localize=True
    )
    least_harm = forms.FloatField(
        label=_("A difference of error rates below this rolls nothing back (0 to 1)"), localize=True
    )
    allowed_slower_ms = forms.FloatField(label=_("A call may take longer by, ms"), localize=True)
    allowed_slower = forms.FloatField(label=_("… and by this part of the local time"), localize=True)
    allowed_mismatches = forms.FloatField(
        label=_("Share of people whose answers may differ in shadowing (0 to 1)"), localize=True
    )
    least_units = forms.IntegerField(label=_("At least so many people on its side before it goes on"), max_value=MOST)
    least_compared = forms.IntegerField(label=_("At least so many people compared in shadowing"), max_value=MOST)
    silent_seconds = forms.IntegerField(label=_("Nothing is known after so long without a call, s"), max_value=MOST)
    patience_seconds = forms.IntegerField(label=_("A person is asked after, s"), max_value=MOST)

    CHOSEN = ("steps", "step_seconds", "shadow_percent")
    field_order = (*CHOSEN, "reason")

    def __init__(self, data: Any = None) -> None:
        steps = " ".join(f"{share:g}" for share in DEFAULTS.steps)
        super().__init__(data, initial={**msgspec.to_builtins(DEFAULTS), "steps": steps})

    def clean_steps(self) -> list[float]:
        """Numbers with any separators. A comma between digits separates as well, with or without a space."""
        words = [word for word in re.split(r"[\s,;/%]+", self.cleaned_data["steps"]) if word]
        try:
            shares = [float(word) for word in words]
        except ValueError:
            raise forms.ValidationError(gettext("Numbers, separated by spaces.")) from None
        if not all(map(math.isfinite, shares)):
            raise forms.ValidationError(gettext("Numbers, separated by spaces."))
        if any(round(share, PLACES) != share for share in shares):
            raise forms.ValidationError(gettext("A share has at most two decimals."))
        return shares

    def clean_shadow_percent(self) -> float:
        """A share with as many decimals as a flag has."""
        share = float(self.cleaned_data["shadow_percent"])
        if round(share, PLACES) != share:
            raise forms.ValidationError(gettext("A share has at most two decimals."))
        return share

    def clean(self) -> dict[str, Any]:
        """Check each rule with the defaults, so that an error is shown at its field; then all together."""
        cleaned: dict[str, Any] = super().clean() or {}
        for name in Rules.__struct_fields__:
            if name in cleaned:
                self._refuse(name, {name: cleaned[name]})
        if not self.errors:
            self._refuse(None, {name: cleaned[name] for name in Rules.__struct_fields__})
        return cleaned

    def _refuse(self, name: str | None, values: dict[str, Any]) -> None:
        try:
            msgspec.convert(values, Rules)
        except msgspec.ValidationError as error:
            self.add_error(name, gettext(str(error)))

    def rules(self) -> Rules:
        """The rules, once the form is valid."""
        return msgspec.convert({name: self.cleaned_data[name] for name in Rules.__struct_fields__}, Rules)

    def chosen(self) -> Iterator[Any]:
        """The fields that are chosen each time."""
        return (self[name] for name in self.CHOSEN)

    def folded(self) -> Iterator[Any]:
        """The fields that are folded away."""
        return (self[name] for name in Rules.__struct_fields__ if name not in self.CHOSEN)

    def is_folded_wrong(self) -> bool:
        """Whether a folded field has an error."""
        return any(field.errors for field in self.folded())


class Period(forms.Form):
    """Whole days of the platform's time zone, both included; without them the last thirty."""

    DAYS = 30

    def __init__(self, data: Any = None) -> None:
        super().__init__(data or None)
        day = forms.DateField(input_formats=["%Y-%m-%d"], required=False, label=_("From"),
                              widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))  # fmt: skip
        last = forms.DateField(input_formats=["%Y-%m-%d"], required=False, label=_("To"),
                               widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))  # fmt: skip
        # `from` is no name in Python.
        self.fields.update({"from": day, "to": last})
        today = timezone.localdate()
        self.initial = {"from": today - timedelta(days=self.DAYS - 1), "to": today}

    def clean(self) -> dict[str, Any]:
        """The days in order, at most ten years apart."""
        cleaned: dict[str, Any] = super().clean() or {}
        last = cleaned.get("to") or timezone.localdate()
        first = cleaned.get("from") or max(last, date(2000, 1, 31)) - timedelta(days=self.DAYS - 1)
        if last.year not in YEARS or first.year not in YEARS:
            self.add_error("from", gettext("No such year."))
        elif last < first:
            self.add_error("to", gettext("The period ends before it begins."))
        elif last - first > LONGEST:
            self.add_error("from", gettext("At most ten years."))
        return {"from": first, "to": last}

    def span(self) -> tuple[datetime, datetime]:
        """The begin, and the end, which is not part of it; the last thirty days for an unbound form."""
        chosen = self.cleaned_data if self.is_bound else self.initial
        zone = timezone.get_current_timezone()
        first, last = chosen["from"], chosen["to"]
        return (
            datetime.combine(first, time(), zone),
            datetime.combine(last + timedelta(days=1), time(), zone),
        )

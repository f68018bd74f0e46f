"""A ruling in a sentence with its numbers, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

SENTENCES: dict[str, Any] = {
    "errors": _(
        "Of those who met an error for the first time, %(canary_failing)s were on the canary's side and "
        "%(home_failing)s on the local side, with %(share)s %% of people on the canary. Were the service"
        " healthy, this would be seen at most once in %(all)s rollouts."
    ),
    "latency": _(
        "In this rollout %(canary_slow)s people on the canary's side and %(home_slow)s on the local side"
        " met a call slower than %(slower_than)s %% of local ones, after the allowance for the network; "
        "%(share)s %% of people are on the canary. If it were as fast as allowed, this would be seen at "
        "most once in %(all)s rollouts."
    ),
    "mismatches": _(
        "In %(mismatched)s of %(compared)s first comparisons of a person's query the two sides' answers differed beyond noise. "
        "Were the answers the same, this would be seen at most once in %(all)s rollouts."
    ),
    "business": _(
        "What people do goes otherwise on the canary: in this rollout %(canary_accepted)s of its people "
        "had something accepted and %(canary_refused)s something refused, against %(home_accepted)s and "
        "%(home_refused)s on the local side, with %(share)s %% of people on the canary. Were the service"
        " healthy, this would be seen at most once in %(all)s rollouts."
    ),
    "alone": _(
        "All people are on the canary's side, and %(canary_failing)s of %(canary_units)s met an error: "
        "more than is allowed without a local side to compare with. The evidence is %(all)s to 1."
    ),
    "flag_turned": _(
        "The flag was changed to another share than this step's %(share)s %%: it is not known whose calls are compared."
    ),
    "not_observed": _("No process has reported its calls for too long: nothing is known about either side."),
    "silent": _(
        "The canary's side is silent: since its last call it would have had about %(missed)s more at the local pace."
    ),
    "split": _(
        "%(canary_units)s people on the canary's side and %(home_units)s on the local side are not split"
        " as %(share)s %% says: calls are lost or go elsewhere, and the sides cannot be compared."
    ),
    "too_little": _(
        "Too little was seen in %(seconds)s s to say that the canary is well: %(canary_calls)s calls of %(canary_units)s people, %(canary_errors)s "
        "failed, %(compared)s queries compared."
    ),
    "doubt": _("Something is against the canary, though not enough to take it back: the evidence is %(all)s to 1."),
    "time": _("Nothing is against the canary so far; its step is not over (%(seconds)s s)."),
    "calls": _(
        "Nothing is against the canary so far; of %(canary_calls)s calls %(canary_errors)s failed, so that up to %(at_most)s could still fail (95 %%)."
    ),
    "units": _("Nothing is against the canary so far; only %(canary_units)s people were on its side."),
    "compared": _("Nothing is against the canary so far; only %(compared)s queries were asked of both sides."),
    "clear": _(
        "Of %(canary_calls)s calls of %(canary_units)s people on the canary's side %(canary_errors)s "
        "failed, at most %(at_most)s at 95 %%, and %(home_errors)s of %(home_calls)s on the local side; "
        "the evidence against it is %(all)s, and 100 would take it back."
    ),
}


def words(reason: str, numbers: Mapping[str, float], evidence: Mapping[str, float]) -> str:
    """The sentence of a reason."""
    localized = {name: localize(round(value, 1) if value % 1 else int(value)) for name, value in numbers.items()}
    localized["at_most"] = _percent(numbers.get("at_most", 1))
    localized["all"] = _odds(evidence.get("all", 0))
    sentence = SENTENCES.get(reason)
    return (
        str(sentence % localized)
        if sentence is not None
        else gettext("The reason is not known here: %(reason)s") % {"reason": reason}
    )


def _percent(rate: float) -> str:
    return f"{localize(round(rate * 100, 2))} %"


def _odds(value: float) -> str:
    if value >= 1e9:
        return gettext("over a billion")
    return str(localize(int(value) if value >= 10 else round(value, 2)))

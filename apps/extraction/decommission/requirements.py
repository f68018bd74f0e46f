"""What a decommissioning asks of the checklist: everything that can be looked at within seconds is looked at anew."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.extraction.decommission import overrides
from apps.extraction.decommission.items import sign_offs
from apps.extraction.decommission.results import ItemStanding, run, short, standing
from apps.extraction.state.checks import Check


def checks(service: str, who: str) -> list[Check]:
    """Look again, and say of each item whether it stands in the way of this person."""
    return [_check(one, who) for one in run(service, short())]


def shown(service: str) -> list[Check]:
    """The same from what is known already, for a plan."""
    return [_check(one, "") for one in standing(service)]


def pass_over(service: str, made: list[Check], move_id: UUID) -> list[dict[str, Any]]:
    """Use up the overrides that were needed; who has passed over what, for the record. Raises: NotOverridden."""
    needed = [check.name for check in made if check.holds and check.seen.startswith(OVERRIDDEN)]
    return [
        {
            "item": one.item,
            "asked_by": one.asked_by,
            "asked_reason": one.asked_reason,
            "confirmed_by": one.confirmed_by,
            "confirmed_reason": one.confirmed_reason,
        }
        for one in overrides.use(service, needed, move_id)
    ]


OVERRIDDEN = "passed over by two people: "


def _check(one: ItemStanding, who: str) -> Check:
    holds, seen = one.holds, one.reason
    if holds and one.item == sign_offs.TRAINED and who and sign_offs.signed_by(one.service, who):
        holds, seen = False, "signed by the one who decommissions: somebody else has to"
    if not holds and one.is_overridden:
        return Check(one.item, True, f"{OVERRIDDEN}{seen}")
    return Check(one.item, holds, seen if holds or one.state != "not_known" else f"not known: {seen}")

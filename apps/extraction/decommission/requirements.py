"""The checklist as checks of a decommissioning: items that take only seconds are checked again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.extraction.decommission import overrides
from apps.extraction.decommission.items import sign_offs
from apps.extraction.decommission.results import ItemStanding, run, short, standing
from apps.extraction.state.checks import Check


def checks(service: str, who: str) -> list[Check]:
    """Check the short items again; each item as a check of whether it stands in the way of `who`."""
    return [_check(item, who) for item in run(service, short())]


def shown(service: str) -> list[Check]:
    """The same from the last results, for a plan."""
    return [_check(item, "") for item in standing(service)]


def use_overrides(service: str, checks: list[Check], move_id: UUID) -> list[dict[str, Any]]:
    """Use up the overrides that were needed; returns them for the record. Raises: NotOverridden."""
    needed = [check.name for check in checks if check.holds and check.seen.startswith(OVERRIDDEN)]
    return [
        {
            "item": override.item,
            "asked_by": override.asked_by,
            "asked_reason": override.asked_reason,
            "confirmed_by": override.confirmed_by,
            "confirmed_reason": override.confirmed_reason,
        }
        for override in overrides.use(service, needed, move_id)
    ]


OVERRIDDEN = "overridden by two people: "


def _check(item: ItemStanding, who: str) -> Check:
    holds, words = item.holds, item.reason
    if holds and item.item == sign_offs.TRAINED and who and sign_offs.signed_by(item.service, who):
        holds, words = False, "signed by the person who decommissions: another person has to sign"
    if not holds and item.is_overridden:
        return Check(item.item, True, f"{OVERRIDDEN}{words}")
    return Check(item.item, holds, words if holds or item.state != "not_known" else f"not known: {words}")

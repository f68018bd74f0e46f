"""The result of one check of the checklist."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from apps.extraction.decommission.models import ItemState


class Finding(NamedTuple):
    """State, reason in a sentence, and evidence. `valid_until` is given if it is earlier than the item's own limit."""

    state: ItemState
    reason: str
    evidence: dict[str, Any]
    valid_until: datetime | None = None


Run = Callable[[str], Finding]


def holds(reason: str, *, valid_until: datetime | None = None, **evidence: Any) -> Finding:
    """The finding that the item holds."""
    return Finding(ItemState.HOLDS, reason, evidence, valid_until)


def fails(reason: str, **evidence: Any) -> Finding:
    """The finding that the item does not hold."""
    return Finding(ItemState.FAILS, reason, evidence)


def not_known(reason: str, **evidence: Any) -> Finding:
    """The finding that the check could not decide."""
    return Finding(ItemState.NOT_KNOWN, reason, evidence)

"""What a check answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from apps.extraction.decommission.models import ItemState


class Finding(NamedTuple):
    """State, reason in a sentence, and what was seen. `valid_until` where it ends earlier than the item's own limit."""

    state: ItemState
    reason: str
    evidence: dict[str, Any]
    valid_until: datetime | None = None


Run = Callable[[str], Finding]


def holds(reason: str, *, valid_until: datetime | None = None, **evidence: Any) -> Finding:
    """It is so."""
    return Finding(ItemState.HOLDS, reason, evidence, valid_until)


def fails(reason: str, **evidence: Any) -> Finding:
    """It is not so."""
    return Finding(ItemState.FAILS, reason, evidence)


def not_known(reason: str, **evidence: Any) -> Finding:
    """Nobody could say."""
    return Finding(ItemState.NOT_KNOWN, reason, evidence)

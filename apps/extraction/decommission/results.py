"""The standing of each item: the result of its last check while that is valid. Runs checks again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from apps.core.interface.errors import DomainError
from apps.core.postgres import connections
from apps.extraction.decommission import overrides
from apps.extraction.decommission.checklist import ITEMS, Item
from apps.extraction.decommission.findings import Finding, not_known
from apps.extraction.decommission.models import ChecklistResult, ItemState
from apps.extraction.state.stages import TwoPrimaries

log = structlog.get_logger(__name__)


class ItemStanding(NamedTuple):
    """An item of a service now. `state` is an ItemState; the fields from `checked_at` on are None if never checked."""

    service: str
    item: str
    title: Any
    state: str
    reason: str
    evidence: dict[str, Any]
    checked_at: datetime | None
    age: timedelta | None
    valid_until: datetime | None
    took_ms: float | None
    is_overridden: bool

    @property
    def holds(self) -> bool:
        """Whether the item holds, without regard to overrides."""
        return self.state == ItemState.HOLDS


def standing(service: str) -> tuple[ItemStanding, ...]:
    """Every item of a service by the results of the last checks; nothing is checked."""
    newest = {
        result.item: result
        for result in ChecklistResult.objects.filter(service=service, item__in=ITEMS)
        .order_by("item", "-checked_at")
        .distinct("item")
    }
    covered = overrides.covering(service)
    return tuple(_standing(service, item, newest.get(item.name), covered) for item in ITEMS.values())


def run(service: str, names: Iterable[str] = ()) -> tuple[ItemStanding, ...]:
    """Check the named items, or all, again; returns the standing of all items."""
    for name in names or ITEMS:
        _check(service, ITEMS[name])
    return standing(service)


def short() -> tuple[str, ...]:
    """The items that are checked within some seconds."""
    return tuple(item.name for item in ITEMS.values() if not item.is_long)


def _check(service: str, item: Item) -> None:
    began = time.monotonic()
    try:
        finding = item.check(service)
    except (psycopg.Error, DatabaseError, DomainError, connections.NoWay, TwoPrimaries, OSError) as error:
        finding = not_known(f"{type(error).__name__}: {error}".strip())
    except Exception as error:  # a broken check decides nothing, and the other checks still run
        log.exception("check_broken", service=service, item=item.name)
        finding = not_known(f"the check itself has failed: {error!r}")
    now = timezone.now()
    ChecklistResult.objects.create(
        service=service,
        item=item.name,
        state=finding.state,
        reason=finding.reason[:2000],
        evidence=finding.evidence,
        checked_at=now,
        valid_until=_until(finding, item, now),
        took_ms=round((time.monotonic() - began) * 1000, 1),
    )


def _until(finding: Finding, item: Item, now: datetime) -> datetime:
    return min(now + item.limit, finding.valid_until or now + item.limit)


def _standing(service: str, item: Item, result: ChecklistResult | None, covered: Iterable[str]) -> ItemStanding:
    is_overridden = overrides.covers(covered, item.name)
    if result is None:
        words = f"never checked: manage.py extraction {service} checklist --run {item.name}"
        never = (None, None, None, None)
        return ItemStanding(service, item.name, item.title, ItemState.NOT_KNOWN, words, {}, *never, is_overridden)
    now = timezone.now()
    state, reason = result.state, result.reason
    if result.valid_until <= now:
        state, reason = (
            ItemState.NOT_KNOWN,
            f"too old, it counted until {result.valid_until:%Y-%m-%d %H:%M %Z}: {reason}",
        )
    return ItemStanding(
        service=service,
        item=item.name,
        title=item.title,
        state=state,
        reason=reason,
        evidence=result.evidence,
        checked_at=result.checked_at,
        age=now - result.checked_at,
        valid_until=result.valid_until,
        took_ms=result.took_ms,
        is_overridden=is_overridden,
    )

"""Overrides of items that do not hold: one person asks, another confirms within a day, both give a reason.

An override counts once, for one service. Both people are superusers. A trigger of the database prevents every deletion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.extraction.decommission.models import Override
from apps.extraction.state.checks import ActionFailed
from apps.extraction.state.models import ACT

CONFIRM_WITHIN = timedelta(hours=24)
USE_WITHIN = timedelta(hours=24)


class NotOverridden(ActionFailed):
    """There is no override: it was not asked for, or not confirmed; the message says why."""


def ask(service: str, item: str, who: str, where: str, reason: str, items: Collection[str]) -> Override:
    """The first person asks. `item` is one of `items`, or `all`. Raises: NotOverridden."""
    if item not in {*items, Override.ALL}:
        raise NotOverridden(f"there is no item {item}: {', '.join(items)}, or {Override.ALL}")
    _require(who, reason)
    return Override.objects.create(
        service=service, item=item, asked_by=who, asked_where=where[:64], asked_reason=reason.strip()[:2000]
    )


@transaction.atomic
def confirm(override_id: UUID, who: str, reason: str) -> Override:
    """The second person confirms, by their own account and with their own reason. Raises: NotOverridden."""
    _require(who, reason)
    override = Override.objects.select_for_update().filter(id=override_id).first()
    if override is None:
        raise NotOverridden("there is no such override")
    if override.confirmed_at is not None:
        raise NotOverridden("it is confirmed already")
    if override.asked_by.casefold() == who.casefold():
        raise NotOverridden("another person has to confirm it")
    if timezone.now() - override.asked_at > CONFIRM_WITHIN:
        raise NotOverridden("it was asked for more than a day ago: ask again")
    if override.asked_reason.casefold() == reason.strip().casefold():
        raise NotOverridden("say it in your own words")
    override.confirmed_by, override.confirmed_reason, override.confirmed_at = who, reason.strip()[:2000], timezone.now()
    override.save(update_fields=["confirmed_by", "confirmed_reason", "confirmed_at"])
    return override


def covering(service: str) -> tuple[str, ...]:
    """The items with a confirmed override that was not used yet: names, or `all`."""
    return tuple(_usable(service).values_list("item", flat=True).distinct())


def covers(covered: Iterable[str], item: str) -> bool:
    """Whether `covered` names the item, or all items."""
    return any(name in {item, Override.ALL} for name in covered)


@transaction.atomic
def use(service: str, items: Collection[str], move_id: UUID) -> list[Override]:
    """Use up the overrides of these items.

    Raises: NotOverridden when one was used by another action, or has expired.
    """
    used: list[Override] = []
    for item in items:
        if covers((override.item for override in used), item):
            continue
        override = (
            _usable(service).filter(item__in=(item, Override.ALL)).select_for_update().order_by("confirmed_at").first()
        )
        if override is None:
            raise NotOverridden(f"{item} is not overridden any more")
        override.used_at, override.used_by = timezone.now(), move_id
        override.save(update_fields=["used_at", "used_by"])
        used.append(override)
    return used


def waiting(service: str) -> QuerySet[Override]:
    """The overrides that another person may still confirm."""
    return Override.objects.filter(
        service=service, confirmed_at__isnull=True, asked_at__gt=timezone.now() - CONFIRM_WITHIN
    ).order_by("-asked_at")


def _usable(service: str) -> QuerySet[Override]:
    return Override.objects.filter(service=service, confirmed_at__gt=timezone.now() - USE_WITHIN, used_at__isnull=True)


def _require(who: str, reason: str) -> None:
    if not reason.strip():
        raise NotOverridden("say why")
    people = get_user_model()._default_manager
    person = people.filter(email__iexact=who, is_active=True).first() if who else None
    if person is None or not person.has_perm(ACT):
        raise NotOverridden(f"{who or 'an empty name'} is no administrator with every right")

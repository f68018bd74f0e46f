"""Passing over what does not hold: one person asks, another confirms within a day, both say why; it counts once, for one service.

Who asks and who confirms are superusers by their account. Nothing of it is ever deleted, the database sees to that.
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

CONFIRM_WITHIN = timedelta(hours=24)
USE_WITHIN = timedelta(hours=24)


class NotOverridden(ActionFailed):
    """It was not asked for, or not confirmed; the message says why."""


def ask(service: str, item: str, who: str, where: str, reason: str, known: Collection[str]) -> Override:
    """The first person asks. `item` is one of `known`, or `all`. Raises: NotOverridden."""
    if item not in {*known, Override.ALL}:
        raise NotOverridden(f"there is no item {item}: {', '.join(known)}, or {Override.ALL}")
    _require(who, reason)
    return Override.objects.create(
        service=service, item=item, asked_by=who, asked_where=where[:64], asked_reason=reason.strip()[:2000]
    )


@transaction.atomic
def confirm(override_id: UUID, who: str, reason: str) -> Override:
    """The second person confirms, by their own account and with their own reason. Raises: NotOverridden."""
    _require(who, reason)
    found = Override.objects.select_for_update().filter(id=override_id).first()
    if found is None:
        raise NotOverridden("nobody has asked for that")
    if found.confirmed_at is not None:
        raise NotOverridden("it is confirmed already")
    if found.asked_by.casefold() == who.casefold():
        raise NotOverridden("another person has to confirm it")
    if timezone.now() - found.asked_at > CONFIRM_WITHIN:
        raise NotOverridden("it was asked for more than a day ago: ask again")
    if found.asked_reason.casefold() == reason.strip().casefold():
        raise NotOverridden("say it in your own words")
    found.confirmed_by, found.confirmed_reason, found.confirmed_at = who, reason.strip()[:2000], timezone.now()
    found.save(update_fields=["confirmed_by", "confirmed_reason", "confirmed_at"])
    return found


def covering(service: str) -> tuple[str, ...]:
    """The items that two people have passed over and that nobody has made use of: names, or `all`."""
    return tuple(_usable(service).values_list("item", flat=True).distinct())


def covers(covered: Iterable[str], item: str) -> bool:
    """Whether an item is among them."""
    return any(one in {item, Override.ALL} for one in covered)


@transaction.atomic
def use(service: str, items: Collection[str], move_id: UUID) -> list[Override]:
    """Use up what covers these items. Raises: NotOverridden when somebody else was quicker, or it has ended."""
    used: list[Override] = []
    for item in items:
        if covers((one.item for one in used), item):
            continue
        found = (
            _usable(service).filter(item__in=(item, Override.ALL)).select_for_update().order_by("confirmed_at").first()
        )
        if found is None:
            raise NotOverridden(f"{item} is not passed over any more")
        found.used_at, found.used_by = timezone.now(), move_id
        found.save(update_fields=["used_at", "used_by"])
        used.append(found)
    return used


def waiting(service: str) -> QuerySet[Override]:
    """What another person may still confirm."""
    return Override.objects.filter(
        service=service, confirmed_at__isnull=True, asked_at__gt=timezone.now() - CONFIRM_WITHIN
    ).order_by("-asked_at")


def _usable(service: str) -> QuerySet[Override]:
    return Override.objects.filter(service=service, confirmed_at__gt=timezone.now() - USE_WITHIN, used_at__isnull=True)


def _require(who: str, reason: str) -> None:
    if not reason.strip():
        raise NotOverridden("say why")
    people = get_user_model()._default_manager
    found = people.filter(email__iexact=who, is_active=True, is_superuser=True)
    if not who or not found.exists():
        raise NotOverridden(f"{who or 'nobody'} is no administrator with every right")

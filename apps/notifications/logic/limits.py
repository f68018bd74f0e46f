"""How many e-mails a person gets and causes in an hour. Past that a message is stored, and read on the pages, unmailed.

A person may name strangers in contracts, and each act of his writes to them: without limits he could flood a mailbox.
What strangers cause must not keep a person from hearing of his own sales: a contract in which he has acted himself does
not count among the e-mails that he gets, and stages of such a contract not among those that another causes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import Count, Exists, OuterRef, Q

from apps.core.database.primaries import database_of
from apps.core.postgres import advisory_locks
from apps.core.postgres.advisory_locks import Space
from apps.notifications.interface import NotificationKind
from apps.notifications.models import Mail, Notification

HOUR = timedelta(hours=1)
OF_STAGES = {NotificationKind.STAGE_STARTED, NotificationKind.STAGE_OVERDUE}


def mailable(
    recipients: Iterable[UUID], *, kind: NotificationKind, contract_id: UUID, sender: UUID | None, now: datetime
) -> set[UUID]:
    """The recipients to whom one more e-mail may be sent. Counts are those of e-mails made within the last hour."""
    people = list(recipients)
    _take_turns({*people, sender} - {None})
    recent = Mail.objects.filter(notification__created_at__gt=now - HOUR)
    act = Notification.objects.filter(
        contract_id=OuterRef("notification__contract_id"), sender_id=OuterRef("notification__recipient_id")
    )
    received = _counts(recent.filter(~Exists(act), notification__recipient_id__in=people))
    acts = Notification.objects.filter(contract_id=contract_id, sender_id__in=people)
    acted = {sender, *acts.values_list("sender_id", flat=True)}
    allowed = {p for p in people if p in acted or received.get(p, 0) < settings.MAILS_AN_HOUR_TO_ONE}
    if sender is not None and sender in allowed and _to_himself(recent, sender) >= settings.MAILS_AN_HOUR_TO_ONE:
        allowed.discard(sender)  # anybody may register under an address that is not his
    unlimited = acted if kind in OF_STAGES else {sender}
    others = [person for person in people if person in allowed and person not in unlimited]
    if sender is None or not others:
        return allowed
    by_sender = recent.filter(Q(notification__sender_id=sender) & ~Q(notification__recipient_id=sender))
    to_each = _counts(by_sender.filter(notification__recipient_id__in=others))
    left = settings.MAILS_AN_HOUR_BY_ONE - by_sender.count()
    for person in others:
        if to_each.get(person, 0) >= settings.MAILS_AN_HOUR_BY_ONE_TO_ONE or left <= 0:
            allowed.discard(person)
        else:
            left -= 1
    return allowed


def _to_himself(recent: Any, sender: UUID) -> int:
    """How many of the e-mails a person has caused and got himself."""
    of_own_acts = recent.filter(notification__sender_id=sender, notification__recipient_id=sender)
    return int(of_own_acts.count())


def _take_turns(people: Iterable[UUID | None]) -> None:
    """Until the end of the transaction, no other one counts these people's e-mails: two would both find room for one."""
    with connections[database_of("notifications")].cursor() as cursor:
        for name in sorted(f"mails {person}" for person in people):
            advisory_locks.acquire_until_commit(cursor, Space.WORK, name)


def _counts(mails: Any) -> dict[UUID, int]:
    return dict(mails.values_list("notification__recipient_id").annotate(number=Count("id")))

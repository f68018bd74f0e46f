"""Creating messages: one for each recipient, with an e-mail to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.utils import timezone

from apps.notifications.interface import NotificationKind
from apps.notifications.logic import limits
from apps.notifications.models import Mail, Notification


def create_messages(
    *,
    event_id: UUID,
    recipients: Iterable[UUID],
    kind: NotificationKind,
    contract_id: UUID,
    parameters: Mapping[str, str],
    sender: UUID | None,
) -> int:
    """Store a message for each recipient, and an e-mail within the limits; returns the number of messages."""
    now = timezone.now()
    people = list(dict.fromkeys(recipients))
    mailable = limits.mailable(people, kind=kind, contract_id=contract_id, sender=sender, now=now)
    rows = [
        Notification(
            event_id=event_id,
            recipient_id=recipient,
            kind=kind,
            contract_id=contract_id,
            parameters=dict(parameters),
            sender_id=sender,
            created_at=now,
        )
        for recipient in people
    ]
    Notification.objects.bulk_create(rows)
    due = [Mail(notification=row, next_attempt_at=now) for row in rows if row.recipient_id in mailable]
    Mail.objects.bulk_create(due)
    return len(rows)

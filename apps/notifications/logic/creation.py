"""Creating messages: one for each recipient, with an e-mail to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.utils import timezone

from apps.notifications.interface import NotificationKind
from apps.notifications.models import Mail, Notification


def create_messages(
    *,
    event_id: UUID,
    recipients: Iterable[UUID],
    kind: NotificationKind,
    contract_id: UUID,
    parameters: Mapping[str, str],
) -> int:
    """Store a message and an e-mail for each recipient; returns the number of messages."""
    now = timezone.now()
    rows = [
        Notification(
            event_id=event_id,
            recipient_id=recipient,
            kind=kind,
            contract_id=contract_id,
            parameters=dict(parameters),
            created_at=now,
        )
        for recipient in dict.fromkeys(recipients)
    ]
    Notification.objects.bulk_create(rows)
    Mail.objects.bulk_create([Mail(notification=row, next_attempt_at=now) for row in rows])
    return len(rows)

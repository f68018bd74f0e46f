"""Which e-mails are due, what they say, and when a failed one is tried again."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone, translation

from apps.authentication.interface import Recipient
from apps.notifications.interface import NotificationKind
from apps.notifications.logic.texts import in_words
from apps.notifications.models import Mail

BATCH = 50
MAX_ATTEMPTS = 8


def due() -> list[Mail]:
    """The next e-mails to send."""
    waiting = Mail.objects.select_related("notification").filter(
        sent_at=None, gave_up_at=None, next_attempt_at__lte=timezone.now()
    )
    return list(waiting.order_by("next_attempt_at")[:BATCH])


def words(mail: Mail, recipient: Recipient) -> tuple[str, str]:
    """Subject and body in the recipient's language."""
    notification = mail.notification
    with translation.override(recipient.locale):
        title, body = in_words(NotificationKind(notification.kind), notification.parameters)
    return title, f"{recipient.full_name},\n\n{body}\n\n{settings.PUBLIC_URL}/contracts/{notification.contract_id}/\n"


def record(mail: Mail, error: str | None) -> None:
    """Write down how sending went: sent, tried again later, or given up."""
    now = timezone.now()
    mail.attempts += 1
    if error is None:
        mail.sent_at = now
    elif mail.attempts >= MAX_ATTEMPTS:
        mail.gave_up_at = now
    else:
        mail.next_attempt_at = now + timedelta(seconds=30 * 2**mail.attempts)
    mail.last_error = error or ""
    mail.save(update_fields=["attempts", "sent_at", "gave_up_at", "next_attempt_at", "last_error"])

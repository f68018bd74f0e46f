"""The e-mails that are due, their text, and when a failed one is tried again."""

from __future__ import annotations

import re
from datetime import timedelta

from django.conf import settings
from django.db import connections
from django.utils import timezone, translation

from apps.authentication.interface import Recipient
from apps.notifications.interface import NotificationKind
from apps.notifications.logic.texts import in_words
from apps.notifications.models import Mail

BATCH_MAILS = 50
LEASE_SECONDS = 300
MAX_ATTEMPTS = 8
_ADDRESS = re.compile(r"[/\\@:<>]|\w\.\w")


# The next attempt is postponed before the mail is sent: concurrent rounds take different mails, and the mails of a
# round that dies are sent later. Materialised, as a join could ask for the due ones once for each row.
TAKE = """
WITH due AS MATERIALIZED (
    SELECT id AS due_id FROM notifications_mail
    WHERE sent_at IS NULL AND gave_up_at IS NULL AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE notifications_mail SET next_attempt_at = clock_timestamp() + make_interval(secs => %s)
FROM due WHERE id = due_id RETURNING id
"""


def take(alias: str) -> list[Mail]:
    """Reserve the next e-mails for this round and return them."""
    with connections[alias].cursor() as db:
        db.execute(TAKE, [BATCH_MAILS, LEASE_SECONDS])
        ids = [row[0] for row in db.fetchall()]
    return list(Mail.objects.select_related("notification").filter(id__in=ids).order_by("created_at"))


def subject_and_body(mail: Mail, recipient: Recipient) -> tuple[str, str]:
    """The e-mail's subject and body in the recipient's language."""
    notification = mail.notification
    with translation.override(recipient.locale):
        title, body = in_words(NotificationKind(notification.kind), notification.parameters)
    return (
        title,
        f"{_greeting(recipient.full_name)}{body}\n\n{settings.PUBLIC_URL}/contracts/{notification.contract_id}/\n",
    )


def record(mail: Mail, error: str | None) -> None:
    """Record the outcome of an attempt: sent, to be tried again, or given up."""
    now = timezone.now()
    mail.attempts += 1
    unsent = Mail.objects.filter(id=mail.id, sent_at=None)
    if error is None:
        mail.sent_at = now
    elif mail.attempts >= MAX_ATTEMPTS:
        mail.gave_up_at = now
    else:
        mail.next_attempt_at = now + timedelta(seconds=30 * 2**mail.attempts)
    unsent.update(
        attempts=mail.attempts,
        sent_at=mail.sent_at,
        gave_up_at=mail.gave_up_at,
        next_attempt_at=mail.next_attempt_at,
        last_error=error or "",
    )


def _greeting(name: str) -> str:
    """The first line; none for a name with an address, which its author may want in another person's mailbox."""
    return "" if _ADDRESS.search(name) else f"{name},\n\n"

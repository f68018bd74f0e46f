"""Sends e-mail through Django's configured backend."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage


def send(*, mail_id: UUID, to: str, subject: str, body: str) -> None:
    """Send one e-mail. The Message-ID derives from `mail_id`, so that mail programs recognise a copy (RFC 5322, 3.6.4).

    Raises: OSError or smtplib.SMTPException when the server does not accept it.
    """
    message = EmailMessage(
        subject=" ".join(subject.split()),
        body=body,
        to=[to],
        headers={"Message-ID": f"<{mail_id}@{settings.MAIL_DOMAIN}>"},
    )
    message.send()

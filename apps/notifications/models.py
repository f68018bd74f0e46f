"""Messages and their e-mails, and this app's own commands and outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.choices import named
from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord
from apps.notifications.interface import NotificationKind


class Notification(models.Model):
    """One message to one person: a kind and its parameters; the text is composed when it is read.

    `sender_id` is the person whose act the message is about, where it is about one's.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event_id = models.UUIDField()
    recipient_id = models.UUIDField(_("recipient"))
    sender_id = models.UUIDField(_("sender"), null=True)
    kind = models.CharField(_("kind"), max_length=24, choices=named(NotificationKind))
    contract_id = models.UUIDField(_("contract"))
    parameters = models.JSONField(_("parameters"), default=dict)
    created_at = models.DateTimeField(_("created"))
    read_at = models.DateTimeField(_("read"), null=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = (models.UniqueConstraint(fields=("event_id", "recipient_id"), name="notifications_once"),)
        indexes = (
            models.Index(fields=("recipient_id", "-created_at", "-id"), name="notifications_page"),
            models.Index(fields=("recipient_id",), condition=Q(read_at=None), name="notifications_unread"),
            models.Index(
                fields=("sender_id", "-created_at"), condition=Q(sender_id__isnull=False), name="notifications_sent"
            ),
            models.Index(
                fields=("contract_id", "sender_id"), condition=Q(sender_id__isnull=False), name="notifications_acts"
            ),
        )

    def __str__(self) -> str:
        return str(self.kind)


class Mail(models.Model):
    """An e-mail about a message: waiting, sent, or given up. One past the hour's limits is not made (`logic/limits.py`)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    notification = models.OneToOneField(Notification, on_delete=models.CASCADE)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True)
    gave_up_at = models.DateTimeField(_("given up"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), db_default=Now())
    last_error = models.TextField(_("last error"), blank=True)

    class Meta:
        verbose_name = _("e-mail")
        verbose_name_plural = _("e-mails")
        indexes = (
            models.Index(
                fields=("next_attempt_at",), condition=Q(sent_at=None, gave_up_at=None), name="notifications_mail_due"
            ),
        )

    def __str__(self) -> str:
        return str(self.id)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""

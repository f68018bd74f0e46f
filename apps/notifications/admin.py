"""Messages and e-mails in the admin, read only."""

from __future__ import annotations

from django.contrib import admin

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly
from apps.notifications.models import Command, Mail, Notification, Outbox


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    """Messages."""

    list_display = ("created_at", "kind", "recipient_id", "contract_id", "read_at")
    list_filter = ("kind",)
    search_fields = ("recipient_id", "contract_id")
    ordering = ("-created_at",)


@admin.register(Mail)
class MailAdmin(ReadOnly):
    """E-mails."""

    list_display = ("created_at", "sent_at", "gave_up_at", "attempts", "next_attempt_at", "last_error")
    ordering = ("-created_at",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

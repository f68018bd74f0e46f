"""Synchronisations in the admin: looked at here, started and stopped through the interface."""

from __future__ import annotations

from django.contrib import admin

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly
from apps.datasync.models import Command, Outbox, Sync


@admin.register(Sync)
class SyncAdmin(ReadOnly):
    """Synchronisations."""

    list_display = ("started_at", "target_service", "source_table", "status", "records_processed", "records_total")
    list_filter = ("status", "target_service")


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

"""Synchronisations in the admin, read only; they are started and stopped through the interface."""

from __future__ import annotations

from django.contrib import admin

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly
from apps.datasync.models import Command, Difference, Outbox, Sync, Verification


@admin.register(Sync)
class SyncAdmin(ReadOnly):
    """Synchronisations."""

    list_display = (
        *("started_at", "target_service", "source_table", "sync_type", "status", "phase"),
        *("records_processed", "records_total", "seen_at", "lag_bytes"),
    )
    list_filter = ("status", "target_service")


@admin.register(Verification)
class VerificationAdmin(ReadOnly):
    """Comparisons."""

    list_display = ("started_at", "target_service", "status", "rows_compared", "backlog", "compared_at", "checked_at")
    list_filter = ("status", "target_service")


@admin.register(Difference)
class DifferenceAdmin(ReadOnly):
    """Rows that differ."""

    list_display = ("found_at", "verification", "table", "key", "kind", "fields", "is_certain")
    list_filter = ("is_certain", "table", "kind")


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

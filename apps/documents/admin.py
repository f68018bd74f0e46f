"""Documents in the admin, read only."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly
from apps.documents.models import Command, Document, Outbox


@admin.register(Document)
class DocumentAdmin(ReadOnly):
    """Documents."""

    list_display = (
        "created_at",
        "original_filename",
        "document_type",
        "status",
        "version",
        "file_size",
        "active_content",
    )
    list_filter = ("document_type", "status", ("active_content", EmptyFieldListFilter))
    search_fields = ("original_filename", "sha256", "contract_id")
    ordering = ("-created_at",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

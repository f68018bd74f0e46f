"""Workflows in the admin, read only; stages are moved through the interface."""

from __future__ import annotations

from django.contrib import admin

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly, ReadOnlyInline
from apps.workflow.models import Command, Outbox, Stage, Workflow


class Stages(ReadOnlyInline):
    """The stages of a workflow, in order."""

    model = Stage
    fields = ("order", "name", "status", "planned_date", "actual_date", "comment")


@admin.register(Workflow)
class WorkflowAdmin(ReadOnly):
    """Workflows."""

    list_display = ("created_at", "workflow_type", "status", "contract_id")
    list_filter = ("status", "workflow_type")
    search_fields = ("contract_id",)
    inlines = (Stages,)
    ordering = ("-created_at",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

"""Workflow instances and stages, and this app's own commands and outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core.choices import named
from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord
from apps.workflow.interface import StageStatus, WorkflowStatus, WorkflowType


class Workflow(models.Model):
    """The workflow of one contract."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    contract_id = models.UUIDField(_("contract"))
    workflow_type = models.CharField(_("type"), max_length=20, choices=named(WorkflowType))
    status = models.CharField(_("status"), max_length=10, choices=named(WorkflowStatus))
    created_at = models.DateTimeField(_("started"))

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        constraints = (
            models.UniqueConstraint(
                fields=("contract_id",), condition=~Q(status="cancelled"), name="workflow_one_per_contract"
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_type} {self.contract_id}"


class Stage(models.Model):
    """One stage. An event sets `satisfied_on`, possibly before the stage's turn."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="stages")
    name = models.CharField(_("name"), max_length=40)
    order = models.PositiveSmallIntegerField(_("order"))
    status = models.CharField(_("status"), max_length=12, choices=named(StageStatus))
    planned_date = models.DateField(_("planned"))
    actual_date = models.DateField(_("done"), null=True)
    satisfied_on = models.DateField(_("condition met"), null=True)
    comment = models.TextField(_("comment"), blank=True)
    overdue_told = models.BooleanField(_("overdue told"), default=False)

    class Meta:
        verbose_name = _("stage")
        verbose_name_plural = _("stages")
        ordering = ("order",)
        constraints = (models.UniqueConstraint(fields=("workflow", "order"), name="workflow_stage_order"),)
        indexes = (
            models.Index(
                fields=("planned_date",),
                condition=Q(status__in=("in_progress", "blocked"), overdue_told=False),
                name="workflow_stage_due",
            ),
        )

    def __str__(self) -> str:
        return str(self.name)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""

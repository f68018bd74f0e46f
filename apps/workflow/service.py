"""Workflow in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from django.db.models import QuerySet
from django.db.utils import IntegrityError
from django.utils import timezone

from apps.contracts.interface import CONTRACTS, ContractNotFound, ContractRights, ContractStatus, PartyRole
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Text
from apps.core.interface.errors import Forbidden
from apps.core.interface.events import ReceivesEvents
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import command
from apps.workflow import handlers, mapping
from apps.workflow.interface import (
    ContractIsOver,
    OverdueReport,
    StageNotFound,
    StageOverdue,
    StageStatus,
    Workflow,
    WorkflowExists,
    WorkflowNotFound,
    WorkflowStatus,
    WorkflowType,
)
from apps.workflow.logic import moves, progress
from apps.workflow.models import Stage as StageRow
from apps.workflow.models import Workflow as WorkflowRow

OVER = (ContractStatus.COMPLETED, ContractStatus.CANCELLED)


class Workflows(ReceivesEvents):
    """Implements `WorkflowService`."""

    handlers = handlers.HANDLERS

    def start(
        self, *, ctx: CallContext, contract_id: UUID, workflow_type: WorkflowType = WorkflowType.LAND_SALE
    ) -> Workflow:
        rights = _rights(ctx, contract_id)
        if not rights.may_manage:
            raise Forbidden
        if rights.status in OVER:
            raise ContractIsOver
        try:
            with command(ctx) as work:
                workflow = progress.start(work, contract_id, workflow_type)
                return work.finish(mapping.workflow(workflow, moves.Viewer(ctx.actor, rights)))
        except IntegrityError as error:
            existing = _not_cancelled(contract_id).first()
            if existing is None:
                raise
            raise WorkflowExists(workflow_id=existing.id) from error

    def get(self, *, ctx: CallContext, workflow_id: UUID) -> Workflow:
        row = WorkflowRow.objects.prefetch_related("stages").filter(id=workflow_id).first()
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(row.contract_id,)) if row is not None else ()
        if row is None or not rights:
            raise WorkflowNotFound
        return mapping.workflow(row, moves.Viewer(ctx.actor, rights[0]))

    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Workflow, ...]:
        rights = {right.contract_id: right for right in call(CONTRACTS).rights(ctx=ctx, contract_ids=contract_ids)}
        rows = WorkflowRow.objects.prefetch_related("stages").filter(contract_id__in=rights)
        return tuple(
            mapping.workflow(row, moves.Viewer(ctx.actor, rights[row.contract_id]))
            for row in rows.order_by("created_at", "id")
        )

    def update_stage(
        self,
        *,
        ctx: CallContext,
        workflow_id: UUID,
        stage_id: UUID,
        status: StageStatus,
        actual_date: date | None = None,
        comment: Text = "",
    ) -> Workflow:
        contract_id = WorkflowRow.objects.filter(id=workflow_id).values_list("contract_id", flat=True).first()
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,)) if contract_id else ()
        if contract_id is None or not rights:
            raise WorkflowNotFound
        people = call(CONTRACTS).participants(ctx=ctx, contract_id=contract_id)
        has_lawyer = any(person.role == PartyRole.LAWYER for person in people)
        with command(ctx) as work:
            workflow = WorkflowRow.objects.select_for_update().get(id=workflow_id)
            stage = StageRow.objects.filter(id=stage_id, workflow=workflow).first()
            if stage is None:
                raise StageNotFound
            moves.require_allowed(ctx.actor, rights[0], workflow, stage, asked=status, has_lawyer=has_lawyer)
            on = actual_date or timezone.localdate()
            moves.require_plausible(workflow, on)
            stage.comment = comment or stage.comment
            if status == StageStatus.COMPLETED:
                progress.complete(work, workflow, stage, on=on)
            else:
                stage.status = status
                stage.save(update_fields=["status", "comment"])
            return work.finish(
                mapping.workflow(WorkflowRow.objects.get(id=workflow_id), moves.Viewer(ctx.actor, rights[0]))
            )

    def find_overdue(self, *, ctx: CallContext) -> OverdueReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        due = StageRow.objects.filter(
            status__in=progress.OPEN, overdue_told=False, planned_date__lt=timezone.localdate()
        )
        with command(ctx) as work:
            ids = list(due.order_by("workflow_id").values_list("workflow_id", flat=True)[:200])
            list(WorkflowRow.objects.select_for_update().filter(id__in=ids).order_by("id"))
            stages = list(due.filter(workflow_id__in=ids).select_related("workflow"))
            for stage in stages:
                overdue = StageOverdue(
                    workflow_id=stage.workflow_id,
                    contract_id=stage.workflow.contract_id,
                    stage=stage.name,
                    planned_date=stage.planned_date,
                )
                work.emit(overdue, aggregate_id=stage.workflow_id)
            StageRow.objects.filter(id__in=[stage.id for stage in stages]).update(overdue_told=True)
            return work.finish(OverdueReport(found=len(stages)))


def _not_cancelled(contract_id: UUID) -> QuerySet[WorkflowRow]:
    return WorkflowRow.objects.filter(contract_id=contract_id).exclude(status=WorkflowStatus.CANCELLED)


def _rights(ctx: CallContext, contract_id: UUID) -> ContractRights:
    rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,))
    if not rights:
        raise ContractNotFound
    return rights[0]

"""A fake of workflow for other apps' tests: the real moves on stages in memory."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
from django.utils import timezone

from apps.contracts.interface import (
    CONTRACTS,
    ContractCreated,
    ContractNotFound,
    ContractStatus,
    ContractStatusChanged,
    PartyRole,
)
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Text
from apps.core.interface.errors import Forbidden, ServiceBusy
from apps.core.interface.events import EventEnvelope, EventReceipt
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored, DocumentType
from apps.workflow.interface import (
    ContractIsOver,
    OverdueReport,
    Stage,
    StageNotFound,
    StageStatus,
    Workflow,
    WorkflowExists,
    WorkflowNotFound,
    WorkflowStatus,
    WorkflowType,
)
from apps.workflow.logic import moves
from apps.workflow.logic.types import PREPARATION, REGISTRATION, SIGNING, TYPES
from apps.workflow.models import Stage as StageRow
from apps.workflow.models import Workflow as WorkflowRow


class FakeWorkflow:
    """Implements `WorkflowService` in memory."""

    def __init__(self) -> None:
        self._workflows: dict[UUID, Workflow] = {}
        self._satisfied: dict[UUID, dict[str, date]] = {}

    def start(
        self, *, ctx: CallContext, contract_id: UUID, workflow_type: WorkflowType = WorkflowType.LAND_SALE
    ) -> Workflow:
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,))
        if not rights:
            raise ContractNotFound
        if not rights[0].may_manage:
            raise Forbidden
        if rights[0].status in {ContractStatus.COMPLETED, ContractStatus.CANCELLED}:
            raise ContractIsOver
        for workflow in self._workflows.values():
            if workflow.contract_id == contract_id and workflow.status != WorkflowStatus.CANCELLED:
                raise WorkflowExists(workflow_id=workflow.id)
        return _with_moves(moves.Viewer(ctx.actor, rights[0]), self._start(contract_id, workflow_type))

    def get(self, *, ctx: CallContext, workflow_id: UUID) -> Workflow:
        workflow = self._workflows.get(workflow_id)
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(workflow.contract_id,)) if workflow else ()
        if workflow is None or not rights:
            raise WorkflowNotFound
        return _with_moves(moves.Viewer(ctx.actor, rights[0]), workflow)

    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Workflow, ...]:
        rights = {right.contract_id: right for right in call(CONTRACTS).rights(ctx=ctx, contract_ids=contract_ids)}
        return tuple(
            _with_moves(moves.Viewer(ctx.actor, rights[workflow.contract_id]), workflow)
            for workflow in self._workflows.values()
            if workflow.contract_id in rights
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
        workflow = self.get(ctx=ctx, workflow_id=workflow_id)
        stage = next((item for item in workflow.stages if item.id == stage_id), None)
        if stage is None:
            raise StageNotFound
        people = call(CONTRACTS).participants(ctx=ctx, contract_id=workflow.contract_id)
        row = WorkflowRow(workflow_type=workflow.workflow_type, created_at=workflow.created_at)
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(workflow.contract_id,))[0]
        moves.require_allowed(
            ctx.actor,
            rights,
            row,
            StageRow(name=stage.name, status=stage.status),
            asked=status,
            has_lawyer=any(person.role == PartyRole.LAWYER for person in people),
        )
        on = actual_date or timezone.localdate()
        moves.require_plausible(row, on)
        is_completed = status == StageStatus.COMPLETED
        changed = msgspec.structs.replace(
            stage, status=status, comment=comment or stage.comment, actual_date=on if is_completed else None
        )
        stages = tuple(changed if item.id == stage_id else item for item in workflow.stages)
        return _with_moves(moves.Viewer(ctx.actor, rights), self._advance(workflow, stages))

    def find_overdue(self, *, ctx: CallContext) -> OverdueReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        return OverdueReport(found=0)

    def receive(self, *, ctx: CallContext, event: EventEnvelope) -> EventReceipt:
        effect = "ignored"
        if event.type == ContractCreated.TYPE:
            created = msgspec.json.decode(event.payload, type=ContractCreated)
            if all(workflow.status == WorkflowStatus.CANCELLED for workflow in self._of(created.contract_id)):
                self._start(created.contract_id, WorkflowType.LAND_SALE)
                effect = "started"
        elif event.type == DocumentStored.TYPE:
            effect = self._stored(msgspec.json.decode(event.payload, type=DocumentStored))
        elif event.type == ContractStatusChanged.TYPE:
            effect = self._changed(msgspec.json.decode(event.payload, type=ContractStatusChanged))
        else:
            raise LookupError(event.type)
        return EventReceipt(event_id=event.event_id, effect=effect)

    def _active(self, contract_id: UUID) -> Workflow | None:
        active = (workflow for workflow in self._of(contract_id) if workflow.status == WorkflowStatus.ACTIVE)
        return next(active, None)

    def _of(self, contract_id: UUID) -> list[Workflow]:
        return [workflow for workflow in self._workflows.values() if workflow.contract_id == contract_id]

    def _stored(self, event: DocumentStored) -> str:
        workflow = self._started(event.contract_id)
        if workflow is None or event.document_type != DocumentType.SALE_CONTRACT:
            return "ignored"
        self._satisfy(workflow, PREPARATION)
        return PREPARATION

    def _changed(self, event: ContractStatusChanged) -> str:
        workflow = self._started(event.contract_id)
        if workflow is None:
            return "ignored"
        if event.status == ContractStatus.SIGNED:
            self._satisfy(workflow, SIGNING)
        elif event.status == ContractStatus.IN_REGISTRATION:
            self._complete_before(workflow, REGISTRATION, event.comment)
        elif event.status == ContractStatus.COMPLETED:
            self._complete_before(workflow, "", event.comment)
        elif event.status == ContractStatus.CANCELLED:
            self._cancel(workflow)
        return event.status.value

    def _started(self, contract_id: UUID) -> Workflow | None:
        if not self._of(contract_id):
            raise ServiceBusy
        return self._active(contract_id)

    def _satisfy(self, workflow: Workflow, stage: str) -> None:
        self._satisfied.setdefault(workflow.id, {}).setdefault(stage, timezone.localdate())
        self._advance(workflow, workflow.stages)

    def _complete_before(self, workflow: Workflow, last: str, comment: str) -> None:
        stages = list(workflow.stages)
        for index, stage in enumerate(stages):
            if stage.name == last:
                break
            if stage.status != StageStatus.COMPLETED:
                stages[index] = msgspec.structs.replace(
                    stage,
                    status=StageStatus.COMPLETED,
                    comment=stage.comment or comment,
                    actual_date=timezone.localdate(),
                )
        self._advance(workflow, tuple(stages))

    def _cancel(self, workflow: Workflow) -> None:
        stages = tuple(
            stage
            if stage.status == StageStatus.COMPLETED
            else msgspec.structs.replace(stage, status=StageStatus.CANCELLED)
            for stage in workflow.stages
        )
        cancelled = {"status": WorkflowStatus.CANCELLED, "current_stage": None}
        self._workflows[workflow.id] = msgspec.structs.replace(workflow, stages=stages, **cancelled)

    def _start(self, contract_id: UUID, workflow_type: WorkflowType) -> Workflow:
        now = datetime.now(UTC)
        planned, stages = timezone.localdate(now), []
        for order, stage_type in enumerate(TYPES[workflow_type], start=1):
            planned += timedelta(days=stage_type.days)
            stages.append(
                Stage(
                    id=new_id(),
                    name=stage_type.name,
                    order=order,
                    status=StageStatus.PENDING,
                    planned_date=planned,
                    actual_date=None,
                    comment="",
                    responsible=stage_type.responsible,
                )
            )
        empty = Workflow(
            id=new_id(),
            contract_id=contract_id,
            workflow_type=workflow_type,
            status=WorkflowStatus.ACTIVE,
            current_stage=None,
            stages=(),
            created_at=now,
        )
        return self._advance(empty, tuple(stages))

    def _advance(self, workflow: Workflow, stages: tuple[Stage, ...]) -> Workflow:
        """Store the workflow with its next stage started; stages whose condition is met are passed."""
        satisfied = self._satisfied.get(workflow.id, {})
        ordered, current = list(stages), None
        for index, stage in enumerate(ordered):
            if stage.status == StageStatus.COMPLETED:
                continue
            if stage.name not in satisfied:
                current = stage.name
                if stage.status == StageStatus.PENDING:
                    ordered[index] = msgspec.structs.replace(stage, status=StageStatus.IN_PROGRESS)
                break
            completed = {"status": StageStatus.COMPLETED, "actual_date": satisfied[stage.name]}
            ordered[index] = msgspec.structs.replace(stage, **completed)
        status = WorkflowStatus.ACTIVE if current else WorkflowStatus.COMPLETED
        saved = msgspec.structs.replace(workflow, stages=tuple(ordered), current_stage=current, status=status)
        self._workflows[saved.id] = saved
        return saved


def _with_moves(viewer: moves.Viewer, workflow: Workflow) -> Workflow:
    """The workflow with the person's moves at each stage, by the real rules."""
    row = WorkflowRow(workflow_type=workflow.workflow_type)
    stages = []
    for stage in workflow.stages:
        stage_row = StageRow(name=stage.name, status=stage.status)
        stages.append(
            msgspec.structs.replace(
                stage,
                completed_by=moves.responsible(row, stage_row, has_lawyer=viewer.has_lawyer),
                legal_moves=moves.legal(viewer, row, stage_row),
            )
        )
    return msgspec.structs.replace(workflow, stages=tuple(stages))

"""The progress of a workflow: start, completion of stages, cancellation. All inside a command's transaction.

The workflow's row is locked by the caller, which orders its events.
"""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from django.utils import timezone

from apps.core.interface.errors import ServiceBusy
from apps.core.seam.server.commands import Work
from apps.workflow.interface import (
    StageCompleted,
    StageStarted,
    StageStatus,
    WorkflowCompleted,
    WorkflowStatus,
    WorkflowType,
)
from apps.workflow.logic.types import TYPES
from apps.workflow.models import Stage, Workflow

OPEN = (StageStatus.IN_PROGRESS, StageStatus.BLOCKED)


def start(work: Work, contract_id: UUID, workflow_type: WorkflowType) -> Workflow:
    """Create a workflow with its first stage under way."""
    now = timezone.now()
    workflow = Workflow.objects.create(
        contract_id=contract_id, workflow_type=workflow_type, status=WorkflowStatus.ACTIVE, created_at=now
    )
    planned = timezone.localdate(now)
    stages = []
    for order, stage_type in enumerate(TYPES[workflow_type], start=1):
        planned += timedelta(days=stage_type.days)
        stages.append(
            Stage(
                workflow=workflow,
                name=stage_type.name,
                order=order,
                status=StageStatus.PENDING,
                planned_date=planned,
            )
        )
    Stage.objects.bulk_create(stages)
    advance(work, workflow)
    return workflow


def locked(contract_id: UUID) -> Workflow | None:
    """The active workflow of a contract, locked until the transaction ends."""
    active = Workflow.objects.select_for_update().filter(contract_id=contract_id, status=WorkflowStatus.ACTIVE)
    return active.first()


class NotStartedYet(ServiceBusy):
    """An event arrived before the one that starts the workflow: raised as busy, so that it is delivered again."""


def started(contract_id: UUID) -> Workflow | None:
    """The active workflow, locked, or None when it has ended. Raises: NotStartedYet."""
    workflow = locked(contract_id)
    if workflow is None and not Workflow.objects.filter(contract_id=contract_id).exists():
        raise NotStartedYet
    return workflow


def satisfy(work: Work, workflow: Workflow, stage_name: str) -> None:
    """Record that an event met a stage's condition, possibly before its turn, and advance."""
    Stage.objects.filter(workflow=workflow, name=stage_name, satisfied_on=None).update(
        satisfied_on=timezone.localdate()
    )
    advance(work, workflow)


def complete(work: Work, workflow: Workflow, stage: Stage, *, on: date) -> None:
    """Complete a stage and start the next."""
    _mark_completed(work, workflow, stage, on)
    advance(work, workflow)


def complete_through(work: Work, workflow: Workflow, last: str | None, *, comment: str) -> None:
    """Complete all stages before `last` (None: all), with the comment of the contract's move by hand."""
    for stage in workflow.stages.all():
        if stage.name == last:
            break
        if stage.status != StageStatus.COMPLETED:
            stage.comment = stage.comment or comment
            _mark_completed(work, workflow, stage, timezone.localdate())
    advance(work, workflow)


def cancel(workflow: Workflow) -> None:
    """Cancel the workflow and its stages that are not completed."""
    workflow.status = WorkflowStatus.CANCELLED
    workflow.save(update_fields=["status"])
    workflow.stages.exclude(status=StageStatus.COMPLETED).update(status=StageStatus.CANCELLED)


def advance(work: Work, workflow: Workflow) -> None:
    """Start the next stage, pass stages whose condition is met, and complete the workflow after the last."""
    for stage in workflow.stages.all():
        if stage.status == StageStatus.COMPLETED:
            continue
        if stage.status == StageStatus.PENDING:
            stage.status = StageStatus.IN_PROGRESS
            stage.save(update_fields=["status"])
            started = StageStarted(
                workflow_id=workflow.id,
                contract_id=workflow.contract_id,
                stage=stage.name,
                planned_date=stage.planned_date,
            )
            work.emit(started, aggregate_id=workflow.id)
        if stage.satisfied_on is None:
            return
        _mark_completed(work, workflow, stage, stage.satisfied_on)
    workflow.status = WorkflowStatus.COMPLETED
    workflow.save(update_fields=["status"])
    work.emit(WorkflowCompleted(workflow_id=workflow.id, contract_id=workflow.contract_id), aggregate_id=workflow.id)


def _mark_completed(work: Work, workflow: Workflow, stage: Stage, on: date) -> None:
    stage.status = StageStatus.COMPLETED
    stage.actual_date = on
    stage.save(update_fields=["status", "actual_date", "comment"])
    completed = StageCompleted(
        workflow_id=workflow.id, contract_id=workflow.contract_id, stage=stage.name, actual_date=on
    )
    work.emit(completed, aggregate_id=workflow.id)

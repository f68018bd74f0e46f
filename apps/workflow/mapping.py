"""Workflows as DTOs, here only; fields are listed one by one."""

from __future__ import annotations

from apps.workflow import interface, models
from apps.workflow.logic import moves
from apps.workflow.logic.types import responsible_for


def stage(row: models.Stage, workflow: models.Workflow, viewer: moves.Viewer) -> interface.Stage:
    """One stage, with the moves that the person may make."""
    return interface.Stage(
        id=row.id,
        name=row.name,
        order=row.order,
        status=interface.StageStatus(row.status),
        planned_date=row.planned_date,
        actual_date=row.actual_date,
        comment=row.comment,
        responsible=responsible_for(workflow.workflow_type, row.name),
        completed_by=moves.responsible(workflow, row, has_lawyer=viewer.has_lawyer),
        legal_moves=moves.legal(viewer, workflow, row),
    )


def workflow(row: models.Workflow, viewer: moves.Viewer) -> interface.Workflow:
    """A workflow with its stages in order; `current_stage` is the stage under way or blocked."""
    stages = tuple(stage(item, row, viewer) for item in row.stages.all())
    under_way = {interface.StageStatus.IN_PROGRESS, interface.StageStatus.BLOCKED}
    return interface.Workflow(
        id=row.id,
        contract_id=row.contract_id,
        workflow_type=interface.WorkflowType(row.workflow_type),
        status=interface.WorkflowStatus(row.status),
        current_stage=next((item.name for item in stages if item.status in under_way), None),
        stages=stages,
        created_at=row.created_at,
    )

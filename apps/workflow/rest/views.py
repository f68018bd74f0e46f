"""Workflows over REST."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, RequestBody, Text
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.client.registry import call
from apps.workflow.interface import WORKFLOW, StageStatus, Workflow, WorkflowType


class NewWorkflow(RequestBody):
    """A workflow to start; creating a contract starts one by itself."""

    contract_id: UUID
    workflow_type: WorkflowType = WorkflowType.LAND_SALE


class StageMove(RequestBody):
    """The status to move a stage to. Without an actual date it is today's."""

    status: StageStatus
    actual_date: date | None = None
    comment: Text = ""


class OfContract(Dto):
    """The contract whose workflows to list."""

    contract_id: UUID


class Workflows(View):
    """workflows?contract_id=."""

    @endpoint()
    def get(self, ctx: CallContext, query: OfContract) -> tuple[Workflow, ...]:
        """The workflows of a contract."""
        return call(WORKFLOW).for_contracts(ctx=ctx, contract_ids=(query.contract_id,))


class Start(View):
    """POST workflows/start."""

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewWorkflow) -> Workflow:
        """Start a workflow by hand."""
        return call(WORKFLOW).start(ctx=ctx, **fields_of(body))


class WorkflowDetail(View):
    """workflows/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, workflow_id: UUID) -> Workflow:
        """A workflow with its stages."""
        return call(WORKFLOW).get(ctx=ctx, workflow_id=workflow_id)


class StageUpdate(View):
    """workflows/{id}/stages/{stage_id}/update."""

    @endpoint()
    def post(self, ctx: CallContext, workflow_id: UUID, stage_id: UUID, body: StageMove) -> Workflow:
        """Move a stage."""
        return call(WORKFLOW).update_stage(ctx=ctx, workflow_id=workflow_id, stage_id=stage_id, **fields_of(body))

    @endpoint()
    def patch(self, ctx: CallContext, workflow_id: UUID, stage_id: UUID, body: StageMove) -> Workflow:
        """Move a stage."""
        return call(WORKFLOW).update_stage(ctx=ctx, workflow_id=workflow_id, stage_id=stage_id, **fields_of(body))

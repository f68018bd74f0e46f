"""Handlers of other apps' events."""

from __future__ import annotations

from apps.contracts.interface import ContractCreated, ContractStatus, ContractStatusChanged
from apps.core.interface.context import CallContext
from apps.core.interface.events import EventEnvelope, EventReceipt, Handlers
from apps.core.seam.server.commands import Work, command
from apps.documents.interface import DocumentStored, DocumentType
from apps.workflow.interface import WorkflowStatus, WorkflowType
from apps.workflow.logic import progress
from apps.workflow.logic.types import PREPARATION, REGISTRATION, SIGNING
from apps.workflow.models import Workflow


def on_contract_created(ctx: CallContext, envelope: EventEnvelope, event: ContractCreated) -> EventReceipt:
    """Start the workflow of a new contract."""
    with command(ctx) as work:
        existing = Workflow.objects.filter(contract_id=event.contract_id).exclude(status=WorkflowStatus.CANCELLED)
        effect = "ignored"
        if not existing.exists():
            progress.start(work, event.contract_id, WorkflowType.LAND_SALE)
            effect = "started"
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_document_stored(ctx: CallContext, envelope: EventEnvelope, event: DocumentStored) -> EventReceipt:
    """Meet the condition of `preparation` when the contract of sale is stored."""
    with command(ctx) as work:
        workflow = progress.started(event.contract_id)
        effect = "ignored"
        if workflow is not None and event.document_type == DocumentType.SALE_CONTRACT:
            progress.satisfy(work, workflow, PREPARATION)
            effect = PREPARATION
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_status_changed(ctx: CallContext, envelope: EventEnvelope, event: ContractStatusChanged) -> EventReceipt:
    """Let the progress follow the contract: signed, in registration, completed or cancelled."""
    with command(ctx) as work:
        workflow = progress.started(event.contract_id)
        if workflow is not None:
            _follow_contract(work, workflow, event.status, event.comment)
        effect = "ignored" if workflow is None else event.status.value
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def _follow_contract(work: Work, workflow: Workflow, status: ContractStatus, comment: str) -> None:
    if status == ContractStatus.SIGNED:
        progress.satisfy(work, workflow, SIGNING)
    elif status == ContractStatus.IN_REGISTRATION:
        progress.complete_through(work, workflow, REGISTRATION, comment=comment)
    elif status == ContractStatus.COMPLETED:
        progress.complete_through(work, workflow, None, comment=comment)
    elif status == ContractStatus.CANCELLED:
        progress.cancel(workflow)


HANDLERS: Handlers = {
    ContractCreated: on_contract_created,
    DocumentStored: on_document_stored,
    ContractStatusChanged: on_status_changed,
}

"""What workflow does when another app's event arrives."""

from __future__ import annotations

from apps.contracts.interface import ContractCreated, ContractStatus, ContractStatusChanged
from apps.core.interface.context import CallContext
from apps.core.interface.events import EventEnvelope, EventReceipt, Handlers
from apps.core.seam.server.commands import Work, command
from apps.documents.interface import DocumentStored, DocumentType
from apps.workflow.interface import WorkflowStatus, WorkflowType
from apps.workflow.logic import course
from apps.workflow.logic.types import PREPARATION, REGISTRATION, SIGNING
from apps.workflow.models import Workflow


def on_contract_created(ctx: CallContext, envelope: EventEnvelope, event: ContractCreated) -> EventReceipt:
    """A new contract starts its workflow."""
    with command(ctx) as work:
        known = Workflow.objects.filter(contract_id=event.contract_id).exclude(status=WorkflowStatus.CANCELLED)
        effect = "ignored"
        if not known.exists():
            course.start(work, event.contract_id, WorkflowType.LAND_SALE)
            effect = "started"
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_document_stored(ctx: CallContext, envelope: EventEnvelope, event: DocumentStored) -> EventReceipt:
    """The contract of sale is there: preparation is done."""
    with command(ctx) as work:
        workflow = course.started(event.contract_id)
        effect = "ignored"
        if workflow is not None and event.document_type == DocumentType.SALE_CONTRACT:
            course.satisfy(work, workflow, PREPARATION)
            effect = PREPARATION
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_status_changed(ctx: CallContext, envelope: EventEnvelope, event: ContractStatusChanged) -> EventReceipt:
    """The course follows the contract: signed, in registration, completed or cancelled."""
    with command(ctx) as work:
        workflow = course.started(event.contract_id)
        if workflow is not None:
            _follow(work, workflow, event.status, event.comment)
        effect = "ignored" if workflow is None else event.status.value
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def _follow(work: Work, workflow: Workflow, status: ContractStatus, comment: str) -> None:
    if status == ContractStatus.SIGNED:
        course.satisfy(work, workflow, SIGNING)
    elif status == ContractStatus.IN_REGISTRATION:
        course.complete_through(work, workflow, REGISTRATION, comment=comment)
    elif status == ContractStatus.COMPLETED:
        course.complete_through(work, workflow, None, comment=comment)
    elif status == ContractStatus.CANCELLED:
        course.cancel(workflow)


HANDLERS: Handlers = {
    ContractCreated: on_contract_created,
    DocumentStored: on_document_stored,
    ContractStatusChanged: on_status_changed,
}

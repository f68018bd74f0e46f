"""Handlers of other apps' events."""

from __future__ import annotations

from uuid import UUID

from apps.contracts.interface import ContractStatus
from apps.contracts.logic import signing, transitions, visibility
from apps.core.interface.context import CallContext
from apps.core.interface.events import EventEnvelope, EventReceipt, Handlers
from apps.core.seam.server.commands import command
from apps.documents.interface import DocumentStored, DocumentType
from apps.signatures.interface import SignatureAccepted
from apps.workflow.interface import StageStarted, WorkflowCompleted


def on_document_stored(ctx: CallContext, envelope: EventEnvelope, event: DocumentStored) -> EventReceipt:
    """An uploaded contract of sale becomes the document to sign."""
    with command(ctx) as work:
        contract = transitions.locked(event.contract_id)
        effect = "ignored"
        is_sale_contract = event.document_type == DocumentType.SALE_CONTRACT
        if contract is not None and is_sale_contract and contract.status in visibility.SIGNABLE:
            signing.note_document(contract, event.document_id, event.created_at)
            effect = transitions.advance_by_signatures(work, contract)
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_signature_accepted(ctx: CallContext, envelope: EventEnvelope, event: SignatureAccepted) -> EventReceipt:
    """Count a party's signature; the second one makes the contract signed."""
    with command(ctx) as work:
        contract = transitions.locked(event.contract_id)
        effect = "ignored"
        if contract is not None:
            signing.note_signature(
                contract,
                signature_id=event.signature_id,
                document_id=event.document_id,
                signer_id=event.signer_id,
            )
            effect = transitions.advance_by_signatures(work, contract)
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


def on_stage_started(ctx: CallContext, envelope: EventEnvelope, event: StageStarted) -> EventReceipt:
    """Move the contract to `in_registration` when the stage of that name begins."""
    target = ContractStatus.IN_REGISTRATION if event.stage == "registration" else None
    return _move_if(ctx, envelope, event.contract_id, expected=ContractStatus.SIGNED, target=target)


def on_workflow_completed(ctx: CallContext, envelope: EventEnvelope, event: WorkflowCompleted) -> EventReceipt:
    """Complete the contract when its workflow is complete."""
    return _move_if(
        ctx,
        envelope,
        event.contract_id,
        expected=ContractStatus.IN_REGISTRATION,
        target=ContractStatus.COMPLETED,
    )


def _move_if(
    ctx: CallContext,
    envelope: EventEnvelope,
    contract_id: UUID,
    *,
    expected: ContractStatus,
    target: ContractStatus | None,
) -> EventReceipt:
    with command(ctx) as work:
        contract = transitions.locked(contract_id)
        effect = "ignored"
        if contract is not None and target is not None and contract.status == expected:
            transitions.move(work, contract, target, by=ctx.actor.id)
            effect = target.value
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=effect))


HANDLERS: Handlers = {
    DocumentStored: on_document_stored,
    SignatureAccepted: on_signature_accepted,
    StageStarted: on_stage_started,
    WorkflowCompleted: on_workflow_completed,
}

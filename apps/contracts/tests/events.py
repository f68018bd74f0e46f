"""Events of other apps as their relays deliver them to contracts."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from apps.authentication.interface import User
from apps.contracts.interface import CONTRACTS, Contract
from apps.core.ids import new_id
from apps.core.interface.events import Event, EventReceipt
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored, DocumentType
from apps.signatures.interface import SignatureAccepted
from apps.workflow.interface import StageStarted, WorkflowCompleted
from tests.world import World, envelope


def deliver(world: World, event: Event, *, by: User | None = None, **changes: object) -> EventReceipt:
    """Deliver an event once, caused by a person or by the system."""
    sent = envelope(event, **changes)
    return call(CONTRACTS).receive(ctx=world.ctx(by, key=str(sent.event_id)), event=sent)


def document_stored(contract: Contract, document_id: UUID, by: User, **changes: object) -> DocumentStored:
    """A contract of sale is stored."""
    stored = DocumentStored(
        document_id=document_id,
        contract_id=contract.id,
        document_type=DocumentType.SALE_CONTRACT,
        original_filename="a.pdf",
        uploaded_by=by.id,
        created_at=datetime.now(UTC),
    )
    return msgspec.structs.replace(stored, **changes)


def signature_accepted(contract: Contract, document_id: UUID, signer: User) -> SignatureAccepted:
    """A signature is accepted."""
    return SignatureAccepted(
        signature_id=new_id(), document_id=document_id, contract_id=contract.id, signer_id=signer.id
    )


def stage_started(contract: Contract, stage: str) -> StageStarted:
    """A stage of the contract's workflow begins."""
    today = datetime.now(UTC).date()
    return StageStarted(workflow_id=new_id(), contract_id=contract.id, stage=stage, planned_date=today)


def workflow_completed(contract: Contract) -> WorkflowCompleted:
    """The contract's workflow is complete."""
    return WorkflowCompleted(workflow_id=new_id(), contract_id=contract.id)


def sign(world: World, contract: Contract, *signers: User) -> UUID:
    """Deliver a stored contract of sale and signatures on it; the document's id."""
    document = new_id()
    deliver(world, document_stored(contract, document, signers[0]))
    for signer in signers:
        deliver(world, signature_accepted(contract, document, signer))
    return document

"""A workflow with its people, and the events that move it as the relays deliver them."""

from __future__ import annotations

from datetime import UTC, datetime

from apps.authentication.interface import Role, User
from apps.contracts.interface import ContractCreated, ContractStatus, ContractStatusChanged
from apps.core.ids import new_id
from apps.core.interface.events import Event, EventReceipt
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored, DocumentType
from apps.workflow.interface import WORKFLOW, StageStatus, Workflow, WorkflowExists
from tests.world import World, envelope


class Scenario:
    """The workflow of a new contract. Indexes of stages begin at 0: preparation, signing, payment, registration, handover."""

    def __init__(self, world: World, *, with_lawyer: bool = True) -> None:
        self.world = world
        self.seller, self.buyer = world.person(), world.person()
        self.lawyer = world.person(Role.LAWYER) if with_lawyer else None
        self.contract = world.contract(self.seller, self.buyer, lawyer=self.lawyer)
        try:
            self.workflow = call(WORKFLOW).start(ctx=world.ctx(self.seller), contract_id=self.contract.id)
        except WorkflowExists as refusal:  # another test's outbox relay has delivered the contract's event meanwhile
            self.workflow = call(WORKFLOW).get(ctx=world.ctx(self.seller), workflow_id=refusal.workflow_id)

    @property
    def now(self) -> Workflow:
        """The workflow as it is, as the system sees it."""
        return call(WORKFLOW).get(ctx=self.world.ctx(), workflow_id=self.workflow.id)

    def statuses(self) -> list[StageStatus]:
        """Of all stages, in order."""
        return [stage.status for stage in self.now.stages]

    def stored(self, kind: DocumentType = DocumentType.SALE_CONTRACT) -> EventReceipt:
        """A document of the contract is stored."""
        fact = DocumentStored(
            document_id=new_id(),
            contract_id=self.contract.id,
            document_type=kind,
            original_filename="a.pdf",
            uploaded_by=self.seller.id,
            created_at=datetime.now(UTC),
        )
        return deliver(self.world, fact)

    def changed(self, status: ContractStatus, comment: str = "") -> EventReceipt:
        """The contract has come to a status."""
        fact = ContractStatusChanged(
            contract_id=self.contract.id,
            number=self.contract.number,
            previous=ContractStatus.DRAFT,
            status=status,
            comment=comment,
            participants=(),
        )
        return deliver(self.world, fact)

    def created(self) -> EventReceipt:
        """The event of the new contract comes late, or once more."""
        fact = ContractCreated(contract_id=self.contract.id, number=self.contract.number, participants=())
        return deliver(self.world, fact)

    def move(self, person: User, stage: int, status: StageStatus, **options: object) -> Workflow:
        """A person moves a stage, given by its place."""
        return call(WORKFLOW).update_stage(
            ctx=self.world.ctx(person),
            workflow_id=self.workflow.id,
            stage_id=self.workflow.stages[stage].id,
            status=status,
            **options,
        )


def deliver(world: World, event: Event, **changes: object) -> EventReceipt:
    """Deliver an event once."""
    sent = envelope(event, **changes)
    return call(WORKFLOW).receive(ctx=world.ctx(key=str(sent.event_id)), event=sent)

"""One land sale, brought to a named state through the services' interfaces.

A state is what a pact calls a provider state. Each is reached from the one before it by one step, so that a recording
knows the state of each call, and a verification can reach that state again.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Self
from uuid import UUID, uuid4

from apps.authentication.interface import Role, User
from apps.contracts.interface import Contract, LandPlot
from apps.core.seam.client.registry import call
from apps.core.seam.events.relay import deliver_due
from apps.documents.interface import DOCUMENTS, DocumentType, UploadTicket
from apps.notifications.interface import NOTIFICATIONS
from apps.signatures.interface import SIGNATURES
from apps.workflow.interface import WORKFLOW, StageStatus, Workflow
from tests import world
from tests.world import World

# The smallest picture: the same bytes in every run, and checked without a separate process, which a PDF needs.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
NOT_A_PICTURE = b"these bytes are announced as a picture and are none"
ROUNDS = 500


class Sale:
    """A sale of its own people. `values` are those that a pact's requests name: `${contract_id}` and the like."""

    def __init__(self) -> None:
        self.world = World("in_process")
        self.state = ""
        self.values: dict[str, str] = {}
        self.people: dict[str, User] = {}
        self.plot: LandPlot
        self.contract: Contract
        self.ticket: UploadTicket

    @classmethod
    def reach(cls, state: str, *, on_step: Callable[[Sale], None] | None = None) -> Self:
        """A new sale in a state. `on_step` gets it before the first step and after each."""
        sale = cls()
        notify = on_step or (lambda _: None)
        notify(sale)
        for name in way_to(state):
            STEPS[name][1](sale)
            sale.state = name
            notify(sale)
        return sale

    def deliver(self, *services: str) -> None:
        """Deliver this sale's events out of these services' outboxes, in this order.

        Raises: AssertionError when they stay undelivered.
        """
        for service in services:
            for _ in range(ROUNDS):  # another process may be delivering the same event just now
                deliver_due(service)
                if not world._waits(service, self.world.trace):
                    break
            else:
                raise AssertionError(f"undelivered: {world._errors(service, self.world.trace)}")

    def workflow(self) -> Workflow:
        """The sale's workflow."""
        (workflow,) = call(WORKFLOW).for_contracts(
            ctx=self.world.ctx(self.people["buyer"]), contract_ids=(self.contract.id,)
        )
        return workflow

    def name(self, **values: UUID | str) -> None:
        """Record values under their names."""
        self.values |= {name: str(value) for name, value in values.items()}

    def announce(self, person: str, body: bytes) -> UploadTicket:
        """Put a file into storage under a ticket."""
        kind = DocumentType.SALE_CONTRACT
        fields = {"original_filename": "contract.png", "mime_type": "image/png"}
        ticket = self.world.ticket(self.people[person], self.contract, body, kind, **fields)
        self.world.put(ticket, body)
        return ticket

    def sign(self, person: str, body: bytes) -> UUID:
        """A party signs the stored document, validly when `body` is its bytes."""
        user = self.people[person]
        signer = world.authority().issue(user.full_name, user.email, "ed25519")
        return (
            call(SIGNATURES)
            .sign(
                ctx=self.world.ctx(user),
                document_id=self.ticket.document.id,
                signature_data=signer.sign(body),
                certificate=signer.pem(),
            )
            .id
        )

    def complete(self, person: str, stage: str) -> None:
        """The responsible person completes a stage."""
        workflow = self.workflow()
        (current,) = (item for item in workflow.stages if item.name == stage)
        call(WORKFLOW).update_stage(
            ctx=self.world.ctx(self.people[person]),
            workflow_id=workflow.id,
            stage_id=current.id,
            status=StageStatus.COMPLETED,
        )


def _people(sale: Sale) -> None:
    for part, roles in PARTS.items():
        sale.people[part] = person = sale.world.person(*roles, name=f"The {part}")
        sale.name(**{f"{part}_id": person.id, f"{part}_email": person.email})
    sale.name(password=world.PASSWORD, new_email=f"{secrets.token_hex(8)}@test.example", unknown_id=uuid4())
    sale.name(new_cadastral_number=world.cadastral_number())


def _plot(sale: Sale) -> None:
    sale.plot = sale.world.plot(sale.people["seller"])
    sale.name(plot_id=sale.plot.id, cadastral_number=sale.plot.cadastral_number)


def _contract(sale: Sale) -> None:
    people = sale.people
    sale.contract = sale.world.contract(people["seller"], people["buyer"], lawyer=people["lawyer"], plot=sale.plot)
    sale.name(contract_id=sale.contract.id, number=sale.contract.number)


def _workflow(sale: Sale) -> None:
    sale.deliver("contracts")
    workflow = sale.workflow()
    sale.name(workflow_id=workflow.id, **{f"{stage.name}_stage_id": stage.id for stage in workflow.stages})
    inbox = call(NOTIFICATIONS).list(ctx=sale.world.ctx(sale.people["buyer"]))
    sale.name(message_id=inbox.items[-1].id)


def _sent(sale: Sale) -> None:
    sale.ticket = sale.announce("lawyer", PICTURE)
    sale.name(document_id=sale.ticket.document.id)


def _sent_wrong(sale: Sale) -> None:
    ticket = sale.announce("lawyer", NOT_A_PICTURE)
    sale.name(document_id=ticket.document.id)


def _stored(sale: Sale) -> None:
    ctx = sale.world.ctx(sale.people["lawyer"])
    call(DOCUMENTS).complete_upload(ctx=ctx, document_id=sale.ticket.document.id)


def _finished(sale: Sale) -> None:
    for person, stage in (("seller", "payment"), ("lawyer", "registration"), ("buyer", "handover")):
        sale.complete(person, stage)
        if stage != "handover":
            sale.deliver("workflow", "contracts", "workflow")


PARTS = {"seller": (), "buyer": (), "lawyer": (Role.LAWYER,), "stranger": ()}
PEOPLE = "four people have accounts"
PLOT = "the seller has recorded a plot"
CONTRACT = "the seller has just drawn up a contract"
COURSE = "the course of the sale has just begun"
DRAFT = "a draft is with its parties"
SENT = "a picture of the contract is in storage"
SENT_WRONG = "a file that is no picture is in storage"
STORED = "the picture was just accepted"
DOCUMENT = "the document is with the parties"
REFUSED = "a signature was just refused"
SIGNED_ONCE = "the seller has just signed"
SIGNATURE = "the seller's signature is known to the parties"
SIGNED_TWICE = "the buyer has just signed too"
SIGNED = "the contract is signed"
FINISHED = "the last stage was just completed"

# Each state: the one before it, and the step from there.
STEPS: dict[str, tuple[str | None, Callable[[Sale], object]]] = {
    PEOPLE: (None, _people),
    PLOT: (PEOPLE, _plot),
    CONTRACT: (PLOT, _contract),
    COURSE: (CONTRACT, _workflow),
    DRAFT: (COURSE, lambda sale: sale.deliver("workflow")),
    SENT: (DRAFT, _sent),
    SENT_WRONG: (DRAFT, _sent_wrong),
    STORED: (SENT, _stored),
    DOCUMENT: (STORED, lambda sale: sale.deliver("documents", "workflow")),
    REFUSED: (DOCUMENT, lambda sale: sale.name(signature_id=sale.sign("seller", NOT_A_PICTURE))),
    SIGNED_ONCE: (DOCUMENT, lambda sale: sale.name(signature_id=sale.sign("seller", PICTURE))),
    SIGNATURE: (SIGNED_ONCE, lambda sale: sale.deliver("signatures", "contracts", "workflow")),
    SIGNED_TWICE: (SIGNATURE, lambda sale: sale.sign("buyer", PICTURE)),
    SIGNED: (SIGNED_TWICE, lambda sale: sale.deliver("signatures", "contracts", "workflow", "contracts")),
    FINISHED: (SIGNED, _finished),
}


def way_to(state: str) -> list[str]:
    """The states on the way to one, itself included. Raises: KeyError for a state that is unknown."""
    before, _ = STEPS[state]
    return [*(way_to(before) if before else ()), state]

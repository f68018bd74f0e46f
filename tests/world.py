"""Helpers of the contract tests, on any side of the seam: people, plots, contracts, files, and delivery of events."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import msgspec
import urllib3
from django.db import connections

from apps.authentication.interface import AUTHENTICATION, Role, User
from apps.authentication.testing import FakeAuthentication
from apps.contracts.interface import CONTRACTS, Contract, LandPlot
from apps.contracts.testing import FakeContracts
from apps.core import topology
from apps.core.database import primaries
from apps.core.ids import new_id
from apps.core.interface.context import SYSTEM, Actor, CallContext, new_context, new_trace
from apps.core.interface.errors import CommandKeyReused
from apps.core.interface.events import Event, EventEnvelope
from apps.core.interface.operations import Kind, Operation
from apps.core.seam.answer import Answer
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from apps.core.seam.client.transports import OverHttp, Transport
from apps.core.seam.events.relay import deliver_due
from apps.core.seam.verify import samples
from apps.core.seam.verify.testing import Twice, transport_to
from apps.datasync.interface import DATASYNC
from apps.datasync.testing import FakeDatasync
from apps.documents.interface import DOCUMENTS, Document, DocumentType, UploadTicket
from apps.documents.testing import FakeDocuments
from apps.notifications.interface import NOTIFICATIONS
from apps.notifications.testing import FakeNotifications
from apps.signatures.interface import SIGNATURES
from apps.signatures.testing import FakeSignatures
from apps.workflow.interface import WORKFLOW
from apps.workflow.testing import FakeWorkflow
from landcontracts.demo.certificates import Authority
from landcontracts.demo.paper import sale_contract

# When a service elsewhere is verified, only its calls go there; the others answer in this process.
ELSEWHERE: dict[str, str] = json.loads(os.environ.get("VERIFY_ELSEWHERE", "{}"))
SIDES = ("elsewhere",) if ELSEWHERE else ("in_process", "http", "http_twice", "fake")
PASSWORD = "correct-horse-battery"
_http = urllib3.PoolManager()


@cache
def authority() -> Authority:
    """One trusted authority for the whole run."""
    created = Authority(f"Test authority {secrets.token_hex(4)}")
    call(SIGNATURES).trust(ctx=new_context(), name="test", certificate=created.pem())
    return created


@cache
def pdf(words: str = "") -> bytes:
    """A real PDF of one page."""
    contract = {"number": words or "1", "price": "1", "cadastral_number": "-", "currency": "RUB", "terms": words}
    return sale_contract(contract, {"address": "-", "area_m2": "1"}, seller="А", buyer="Б")


def cadastral_number() -> str:
    """A number that no plot has."""
    return f"50:20:{secrets.randbelow(10**7):07d}:{secrets.randbelow(10**8) + 1}"


def envelope(event: Event, **changes: object) -> EventEnvelope:
    """An event as a relay sends it, the first of its aggregate."""
    sent = EventEnvelope(
        event_id=new_id(),
        type=event.TYPE,
        aggregate_id=new_id(),
        sequence=1,
        occurred_at=datetime.now(UTC),
        actor_id=None,
        payload=msgspec.Raw(msgspec.json.encode(event)),
    )
    return msgspec.structs.replace(sent, **changes)


class World:
    """One side of the seam, with people of this test alone."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.trace = new_trace()
        self.exercised: dict[str, None] = {}  # operations, the last one called at the end
        self._granted: dict[uuid.UUID, set[Role]] = {}
        self._fake_documents = FakeDocuments()
        self.resolve = self._resolver()

    def ctx(self, person: User | None = None, *roles: str, key: str | None = None) -> CallContext:
        """A context of a person, or of the system."""
        if roles and person is not None and self.side == "elsewhere" and "authentication" not in ELSEWHERE:
            # The service that answers reads such roles anew and takes no caller's word.
            granted = self._granted.setdefault(person.id, set(person.roles))
            granted |= {Role(role) for role in roles}
            call(AUTHENTICATION).set_roles(ctx=self.ctx(), user_id=person.id, roles=tuple(granted))
        actor = SYSTEM if person is None else Actor(id=person.id, roles=(*person.roles, *roles))
        return new_context(actor=actor, trace=self.trace, command_key=key, locale="en", timeout_ms=20_000)

    def person(self, *roles: Role, name: str = "Тестов Тест") -> User:
        """A new account."""
        email = f"{secrets.token_hex(8)}@test.example"
        chosen = roles or (Role.SELLER, Role.BUYER)
        return call(AUTHENTICATION).register(
            ctx=self.ctx(), email=email, password=PASSWORD, full_name=name, roles=chosen
        )

    def administrator(self) -> User:
        """A new person whom the system has made an administrator."""
        person = self.person()
        roles = (*person.roles, Role.ADMINISTRATOR)
        return call(AUTHENTICATION).set_roles(ctx=self.ctx(), user_id=person.id, roles=roles)

    def plot(self, owner: User) -> LandPlot:
        """A plot of a person."""
        return call(CONTRACTS).record_plot(
            ctx=self.ctx(owner), cadastral_number=cadastral_number(), address="Поле", area_m2=Decimal("600.5")
        )

    def contract(
        self, seller: User, buyer: User, *, lawyer: User | None = None, plot: LandPlot | None = None
    ) -> Contract:
        """A draft."""
        return call(CONTRACTS).create(
            ctx=self.ctx(seller),
            buyer_id=buyer.id,
            land_plot_id=(plot or self.plot(seller)).id,
            price=Decimal("1500000.00"),
            lawyer_id=lawyer.id if lawyer else None,
        )

    def ticket(
        self,
        person: User,
        contract: Contract,
        body: bytes,
        kind: DocumentType = DocumentType.SALE_CONTRACT,
        **fields: object,
    ) -> UploadTicket:
        """A ticket for bytes."""
        arguments = {
            "original_filename": "Договор.pdf",
            "mime_type": "application/pdf",
            "file_size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            **fields,
        }
        return call(DOCUMENTS).start_upload(
            ctx=self.ctx(person), contract_id=contract.id, document_type=kind, **arguments
        )

    def put(self, ticket: UploadTicket, body: bytes) -> int:
        """Send bytes under a ticket; the storage's status."""
        if self.side == "fake":
            self._fake_documents.put(ticket, body)
            return 200
        headers = {header.name: header.value for header in ticket.headers}
        return _http.request("PUT", ticket.url, body=body, headers=headers).status

    def document(self, person: User, contract: Contract, body: bytes, **fields: object) -> Document:
        """An uploaded document."""
        ticket = self.ticket(person, contract, body, **fields)
        self.put(ticket, body)
        return call(DOCUMENTS).complete_upload(ctx=self.ctx(person), document_id=ticket.document.id)

    def bytes_behind(self, url: str) -> bytes:
        """The bytes behind a download link."""
        if self.side == "fake":
            return self._fake_documents.stored[url]
        return _http.request("GET", url).data

    def settle(self) -> None:
        """Return when every event that this test caused is delivered."""
        settle(self.trace)

    def settle_after(self, wake: Callable[[], None]) -> None:
        """As `settle`, for postponed events: `wake` makes them due again."""
        for _ in range(20):
            wake()
            for service in topology.entries():
                deliver_due(service)
            if not any(_waits(service, self.trace) for service in topology.entries()):
                return
        self.settle()

    def _resolver(self) -> Callable[[str, CallContext], Transport]:
        if self.side == "in_process":
            return lambda service, _: registry.local(service)
        if self.side == "fake":
            return _by_name(_fakes(self._fake_documents))
        if self.side == "elsewhere":
            return self._elsewhere
        over_http = {service: OverHttp(os.environ["WEB_URL"], caller="monolith") for service in topology.entries()}
        if self.side == "http_twice":
            return _by_name({service: Twice(transport) for service, transport in over_http.items()})
        return _by_name(over_http)

    def _elsewhere(self, service: str, _: CallContext) -> Transport:
        if service not in ELSEWHERE:
            return registry.local(service)
        return Watched(Twice(OverHttp(ELSEWHERE[service], caller="monolith")), self.exercised)


class Watched:
    """Records the operations that a test calls, and repeats each command's key with other arguments."""

    def __init__(self, inner: Transport, exercised: dict[str, None]) -> None:
        self._inner = inner
        self._exercised = exercised
        self.side, self.process = inner.side, inner.process

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        self._exercised.pop(operation.name, None)
        self._exercised[operation.name] = None
        answer = self._inner.send(operation, ctx, arguments)
        if operation.kind is Kind.COMMAND and answer.refusal is None and (other := _changed(operation, arguments)):
            again = self._inner.send(operation, ctx, other)
            if not isinstance(again.refusal, CommandKeyReused):
                raise AssertionError(f"{operation.name}: a key used again with other arguments is answered {again}")
        return answer


def _changed(operation: Operation, arguments: bytes) -> bytes:
    """The arguments with one changed; empty where none can be changed."""
    fields = msgspec.json.decode(arguments)
    for name, value in fields.items():
        try:
            return msgspec.json.encode(fields | {name: samples.another(operation.hints[name], value)})
        except samples.NoSample:
            continue
    return b""


def _by_name(transports: dict[str, Transport]) -> Callable[[str, CallContext], Transport]:
    return lambda service, _: transports[service]


def _fakes(documents: FakeDocuments) -> dict[str, Transport]:
    tables = {"contracts_landplot": 3}
    return {
        "authentication": transport_to(AUTHENTICATION, FakeAuthentication()),
        "contracts": transport_to(CONTRACTS, FakeContracts()),
        "documents": transport_to(DOCUMENTS, documents),
        "signatures": transport_to(SIGNATURES, FakeSignatures(documents.stored.__getitem__)),
        "workflow": transport_to(WORKFLOW, FakeWorkflow()),
        "notifications": transport_to(NOTIFICATIONS, FakeNotifications()),
        "datasync": transport_to(DATASYNC, FakeDatasync(tables)),
    }


def settle(trace: str) -> None:
    """Deliver until no event of a trace waits. Other tests' events are delivered as well, or by other processes."""
    for _ in range(200):
        waiting = [service for service in topology.entries() if _waits(service, trace)]
        if not waiting:
            return
        for service in waiting:
            deliver_due(service)
    raise AssertionError(f"events of {trace} are not delivered: {[_errors(service, trace) for service in waiting]}")


def _waits(service: str, trace: str) -> bool:
    return bool(_outbox(service, "SELECT 1 FROM {outbox} WHERE trace = %s AND delivered_at IS NULL LIMIT 1", trace))


def _errors(service: str, trace: str) -> object:
    return _outbox(
        service, "SELECT type, consumer, last_error FROM {outbox} WHERE trace = %s AND delivered_at IS NULL", trace
    )


def _outbox(service: str, sql: str, trace: str) -> list[tuple[object, ...]]:
    with connections[primaries.database_of(service)].cursor() as cursor:
        cursor.execute(sql.format(outbox=f"{service}_outbox"), [trace])
        return cursor.fetchall()

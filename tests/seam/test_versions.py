"""Builds of two releases side by side, over HTTP against the running monolith: it is the newer one, then the older one.

An older caller knows fewer fields, arguments, values and codes than the service; a newer caller knows more. Both work, and what
cannot be understood is a failure with a type and never a wrong value.
"""

import enum
import os
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from uuid import UUID, uuid4

import msgspec
import pytest
import urllib3

from apps.contracts.interface import CONTRACTS, LandCategory, Participant, PartyRole
from apps.core.interface.context import CallContext, to_wire
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.errors import Category, RemoteCallFailed, UnknownRefusal
from apps.core.interface.events import Event, EventConsumer, EventEnvelope, EventReceipt, ReceivesEvents
from apps.core.interface.operations import PATH, ServiceKey, command, query
from apps.core.seam import signing
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from apps.core.seam.client.transports import OverHttp
from apps.core.seam.verify.testing import transport_to
from apps.workflow.interface import WORKFLOW
from tests.seam.test_http import Misbehaving
from tests.world import World, cadastral_number

_http = urllib3.PoolManager()


class OlderPlot(Dto):
    """A plot before it had a category."""

    id: UUID
    address: str
    owner_id: UUID


class OlderContracts(Protocol):
    @command
    def record_plot(self, *, ctx: CallContext, cadastral_number: str, address: str, area_m2: Decimal) -> OlderPlot: ...

    @query
    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID) -> OlderPlot: ...


class NewerPlot(Dto):
    """A plot that has a region, which no service gives yet."""

    id: UUID
    address: str
    category: LandCategory
    region: str = "unknown"


class NewerContracts(Protocol):
    @command
    def record_plot(
        self, *, ctx: CallContext, cadastral_number: str, address: str, area_m2: Decimal, region: str | None = None
    ) -> NewerPlot: ...

    @query
    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID, with_region: bool = False) -> NewerPlot: ...


class FewCategories(enum.StrEnum):
    """Before there were settlements."""

    FOREST = "forest"


class NarrowPlot(Dto):
    id: UUID
    category: FewCategories


class NarrowContracts(Protocol):
    @query
    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID) -> NarrowPlot: ...


OLDER, NEWER = ServiceKey("contracts", OlderContracts), ServiceKey("contracts", NewerContracts)
NARROW = ServiceKey("contracts", NarrowContracts)


@contextmanager
def over_http(url: str = ""):
    """Calls of `contracts` go to the running monolith."""
    with registry.routed_by({"contracts": OverHttp(url or os.environ["WEB_URL"], caller="monolith")}):
        yield


def send(
    operation: str, ctx: CallContext, arguments: dict[str, Any], *, without: tuple[str, ...] = (), **context: Any
) -> tuple[int, Any]:
    """A hand-made call: its context lacks some fields and has others that no build knows."""
    wire = {**msgspec.to_builtins(to_wire(ctx, 3_000)), **context}
    wire = {name: value for name, value in wire.items() if name not in without}
    body, path = msgspec.json.encode({"context": wire, "arguments": arguments}), f"{PATH}/contracts/{operation}"
    at, signature = signing.seal(caller="monolith", callee="contracts", method="POST", path=path, body=body)
    headers = {"X-Seam-Caller": "monolith", "X-Seam-Time": at, "X-Seam-Signature": signature}
    answer = _http.request("POST", os.environ["WEB_URL"] + path, body=body, headers=headers)
    return answer.status, msgspec.json.decode(answer.data)


def new_plot() -> dict[str, Any]:
    return {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": Decimal("600.5")}


def test_an_older_caller_commands_and_asks(here: World):
    person = here.person()
    with over_http():
        plot = call(OLDER).record_plot(ctx=here.ctx(person), **new_plot())
        again = call(OLDER).get_plot(ctx=here.ctx(person), land_plot_id=plot.id)
    assert again == plot == OlderPlot(id=plot.id, address="Поле", owner_id=person.id)
    assert call(CONTRACTS).get_plot(ctx=here.ctx(person), land_plot_id=plot.id).category == LandCategory.SETTLEMENT


def test_a_newer_caller_commands_and_asks(here: World):
    person = here.person()
    with over_http():
        plot = call(NEWER).record_plot(ctx=here.ctx(person), **new_plot(), region="north")
        again = call(NEWER).get_plot(ctx=here.ctx(person), land_plot_id=plot.id, with_region=True)
    assert again == plot == NewerPlot(id=plot.id, address="Поле", category=LandCategory.SETTLEMENT)
    assert plot.region == "unknown"


def test_a_command_of_two_builds_under_one_key_happens_once(here: World):
    person, fields = here.person(), new_plot()
    ctx = here.ctx(person, key="one-key-for-both")
    with over_http():
        first = call(OLDER).record_plot(ctx=ctx, **fields)
        second = call(NEWER).record_plot(ctx=ctx, **fields, region="north")
    assert second.id == first.id


def test_a_context_with_a_field_that_no_build_has_is_read(here: World):
    person = here.person()
    arguments = msgspec.to_builtins(new_plot())
    status, plot = send(
        "record_plot", here.ctx(person), arguments, tenant="north", actor={"id": str(person.id), "age": 7}
    )
    assert (status, plot["owner_id"]) == (200, str(person.id))
    status, same = send("get_plot", here.ctx(person), {"land_plot_id": plot["id"]}, tenant="north")
    assert (status, same) == (200, plot)


def test_a_context_from_before_its_optional_fields_is_read(here: World):
    person = here.person()
    plot = here.plot(person)
    arguments = {"land_plot_id": str(plot.id)}
    status, body = send("get_plot", here.ctx(person), arguments, without=("command_key", "away"))
    assert (status, body["id"]) == (200, str(plot.id))


def test_a_refusal_that_this_build_does_not_know_keeps_its_category(here: World):
    status, body = send("get_plot", here.ctx(here.person()), {"land_plot_id": str(uuid4())})
    assert (status, body["code"]) == (404, "land_plot_not_found")
    newer = msgspec.json.encode(body | {"code": "land_plot_flooded", "fields": {"depth": 3}})
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(newer), newer)
    with Misbehaving(answer) as server, over_http(server.url), pytest.raises(UnknownRefusal) as refused:
        call(CONTRACTS).get_plot(ctx=here.ctx(), land_plot_id=uuid4())
    assert (refused.value.code, refused.value.category) == ("land_plot_flooded", Category.NOT_FOUND)
    assert str(refused.value)


def test_a_value_that_this_build_does_not_know_is_a_failure_and_no_wrong_value(here: World):
    person = here.person()
    plot = here.plot(person)
    with over_http(), pytest.raises(RemoteCallFailed) as failure:
        call(NARROW).get_plot(ctx=here.ctx(person), land_plot_id=plot.id)
    assert failure.value.may_have_executed


def test_an_argument_of_a_kind_that_the_service_does_not_know_is_refused(here: World):
    arguments = {**msgspec.to_builtins(new_plot()), "category": "lunar"}
    status, body = send("record_plot", here.ctx(here.person()), arguments)
    assert (status, body["code"]) == (422, "invalid_arguments")


class NewerContractCreated(Event):
    """The event as a consumer of the next release declares it."""

    TYPE: ClassVar[str] = "contracts.contract_created"
    contract_id: UUID
    number: str
    participants: tuple[Participant, ...]
    channel: str = "pages"


class NewerConsumer(ReceivesEvents):
    """Collects the events that it receives."""

    def __init__(self) -> None:
        self.events: list[NewerContractCreated] = []
        self.handlers = {NewerContractCreated: self._keep}

    def _keep(self, ctx: CallContext, envelope: EventEnvelope, event: NewerContractCreated) -> EventReceipt:
        self.events.append(event)
        return EventReceipt(event_id=envelope.event_id, effect="kept")


def created(contract_id: UUID, **more: Any) -> EventEnvelope:
    participants = [Participant(user_id=uuid4(), role=PartyRole.SELLER)]
    payload = {"contract_id": contract_id, "number": "LC-1", "participants": participants, **more}
    return EventEnvelope(
        event_id=uuid4(),
        type="contracts.contract_created",
        aggregate_id=contract_id,
        sequence=1,
        occurred_at=msgspec.convert("2024-05-01T12:00:00Z", Instant),
        actor_id=None,
        payload=msgspec.Raw(msgspec.json.encode(payload)),
    )


def test_an_event_of_a_newer_emitter_is_handled(here: World):
    seller = here.person()
    contract = here.contract(seller, here.person())
    event = created(contract.id, channel="telephone", tags=["urgent"])
    with registry.routed_by({"workflow": OverHttp(os.environ["WEB_URL"], caller="contracts")}):
        receipt = call(WORKFLOW).receive(ctx=here.ctx(key=str(event.event_id)), event=event)
    assert receipt == EventReceipt(event_id=event.event_id, effect="started")
    here.settle()
    assert len(call(WORKFLOW).for_contracts(ctx=here.ctx(seller), contract_ids=(contract.id,))) == 1


def test_an_event_of_an_older_emitter_is_handled_by_a_newer_consumer(here: World):
    consumer = NewerConsumer()
    with registry.routed_by({"workflow": transport_to(ServiceKey("workflow", EventConsumer), consumer)}):
        older, newer = created(uuid4()), created(uuid4(), channel="telephone")
        receipts = [call(WORKFLOW).receive(ctx=here.ctx(), event=event) for event in (older, newer)]
    assert [receipt.effect for receipt in receipts] == ["kept", "kept"]
    assert [event.channel for event in consumer.events] == ["pages", "telephone"]

"""The contract of notifications, on all four sides of the seam."""

from datetime import UTC, date, datetime

import msgspec
import pytest

from apps.contracts.interface import ContractCreated, ContractStatusChanged, Participant, PartyRole
from apps.core.ids import new_id
from apps.core.interface.errors import Forbidden, RemoteCallFailed
from apps.core.interface.events import Event
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored, DocumentType
from apps.notifications.interface import NOTIFICATIONS, BadNotificationCursor, NotificationKind, NotificationNotFound
from apps.signatures.interface import SignatureAccepted, SignatureRefused
from apps.workflow.interface import StageOverdue, StageStarted
from tests.world import World, envelope

K = NotificationKind


def deliver(world: World, fact: Event, **changes: object):
    """Deliver an event as the outbox relay does."""
    sent = envelope(fact, **changes)
    return call(NOTIFICATIONS).receive(ctx=world.ctx(key=str(sent.event_id)), event=sent), sent


def notify(world: World, *people, number: str = "LC-2026-000001"):
    created = ContractCreated(
        contract_id=new_id(),
        number=number,
        participants=tuple(Participant(user_id=person.id, role=PartyRole.SELLER) for person in people),
    )
    return deliver(world, created)


def test_everyone_concerned_is_notified_once(world: World):
    seller, buyer, stranger = world.person(), world.person(), world.person()
    receipt, event = notify(world, seller, buyer)
    again = call(NOTIFICATIONS).receive(ctx=world.ctx(key=str(event.event_id)), event=event)
    assert (receipt.effect, again) == ("told 2", receipt)
    for person in (seller, buyer):
        page = call(NOTIFICATIONS).list(ctx=world.ctx(person))
        assert (len(page.items), page.unread) == (1, 1)
        assert page.items[0].kind is NotificationKind.CONTRACT_CREATED
        assert "LC-2026-000001" in page.items[0].title
    assert call(NOTIFICATIONS).list(ctx=world.ctx(stranger)).items == ()


def test_reading_is_ones_own_and_once(world: World):
    reader, other = world.person(), world.person()
    notify(world, reader)
    (message,) = call(NOTIFICATIONS).list(ctx=world.ctx(reader)).items
    with pytest.raises(NotificationNotFound):
        call(NOTIFICATIONS).mark_read(ctx=world.ctx(other), notification_id=message.id)
    read = call(NOTIFICATIONS).mark_read(ctx=world.ctx(reader), notification_id=message.id)
    again = call(NOTIFICATIONS).mark_read(ctx=world.ctx(reader), notification_id=message.id)
    assert read.read_at is not None
    assert again.read_at == read.read_at
    assert call(NOTIFICATIONS).unread_count(ctx=world.ctx(reader)) == 0


def test_messages_are_paged_newest_first(world: World):
    person = world.person()
    for index in range(5):
        notify(world, person, number=f"N{index}")
    first = call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=3)
    rest = call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=3, cursor=first.next_cursor)
    numbers = [item.title for item in (*first.items, *rest.items)]
    assert len(numbers) == 5
    assert [number for index, number in enumerate(numbers) if f"N{4 - index}" not in number] == []
    assert rest.next_cursor is None
    with pytest.raises(BadNotificationCursor):
        call(NOTIFICATIONS).list(ctx=world.ctx(person), cursor="rubbish")


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 4), (2, [2, 2]), (3, [3, 1]), (4, [4]), (5, [4])])
def test_a_list_ends_with_its_last_message(world: World, limit: int, sizes: list[int]):
    person = world.person()
    for index in range(4):
        notify(world, person, number=f"N{index}")
    listed, cursor = [], None
    while True:
        page = call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=limit, cursor=cursor)
        listed.append(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == sizes


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("ru", "Договор № 7: подписан", "Статус договора № 7 изменён с «ожидает подписей» на «подписан». Ура"),
        ("en", "Contract № 7: signed", "The contract № 7 went from “awaiting signatures” to “signed”. Ура"),
    ],
)
def test_a_message_is_in_the_language_of_the_call_and_codes_are_words(world: World, locale: str, title: str, body: str):
    person = world.person()
    people = (Participant(user_id=person.id, role=PartyRole.SELLER),)
    moved = {"number": "№ 7", "previous": "awaiting_signatures", "status": "signed", "comment": "Ура"}
    deliver(world, ContractStatusChanged(contract_id=new_id(), participants=people, **moved))
    ctx = msgspec.structs.replace(world.ctx(person), locale=locale)
    (message,) = call(NOTIFICATIONS).list(ctx=ctx).items
    assert (message.title, message.body) == (title, body)


def test_all_are_marked_at_once(world: World):
    person = world.person()
    for _ in range(3):
        notify(world, person)
    assert call(NOTIFICATIONS).mark_all_read(ctx=world.ctx(person)) == 3
    assert call(NOTIFICATIONS).list(ctx=world.ctx(person), unread_only=True).items == ()


def test_only_system_work_sends_mail(world: World):
    with pytest.raises(Forbidden):
        call(NOTIFICATIONS).send_mail(ctx=world.ctx(world.person()))


def facts(contract, seller, buyer):
    """The events of a contract, and who is notified of each: both parties, or the other one."""
    both = {seller.id, buyer.id}
    ids = {"contract_id": contract.id, "document_id": new_id()}
    stage = {"workflow_id": new_id(), "contract_id": contract.id, "stage": "payment", "planned_date": date(2026, 12, 1)}
    people = tuple(Participant(user_id=person.id, role=PartyRole.SELLER) for person in (seller, buyer))
    moved = {"number": contract.number, "previous": "draft", "status": "signed", "comment": "", "participants": people}
    stored = {"document_type": DocumentType.OTHER, "original_filename": "План.pdf", "uploaded_by": seller.id}
    signature = {"signature_id": new_id(), "signer_id": seller.id}
    return {
        K.STATUS_CHANGED: (ContractStatusChanged(contract_id=contract.id, **moved), both),
        K.DOCUMENT_STORED: (DocumentStored(created_at=datetime.now(UTC), **ids, **stored), {buyer.id}),
        K.SIGNATURE_ACCEPTED: (SignatureAccepted(**ids, **signature), {buyer.id}),
        K.SIGNATURE_REFUSED: (SignatureRefused(**ids, **signature, sub_indication="EXPIRED"), {seller.id}),
        K.STAGE_STARTED: (StageStarted(**stage), both),
        K.STAGE_OVERDUE: (StageOverdue(**stage), both),
    }


@pytest.mark.parametrize("kind", [kind for kind in NotificationKind if kind is not K.CONTRACT_CREATED])
def test_the_people_concerned_are_notified(world: World, kind: NotificationKind):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    fact, concerned = facts(contract, seller, buyer)[kind]
    deliver(world, fact)
    notified = {
        person.id
        for person in (seller, buyer)
        if [item for item in call(NOTIFICATIONS).list(ctx=world.ctx(person)).items if item.kind is kind]
    }
    assert notified == concerned


def test_an_event_that_is_not_known_or_does_not_fit_is_not_acknowledged(world: World):
    fact = StageStarted(workflow_id=new_id(), contract_id=new_id(), stage="x", planned_date=date(2026, 1, 1))
    for changes in ({"type": "unheard.of"}, {"payload": msgspec.Raw(b"[]")}):
        with pytest.raises((RemoteCallFailed, LookupError, msgspec.ValidationError)):
            deliver(world, fact, **changes)

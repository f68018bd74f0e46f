"""The contract of notifications, on all four sides of the seam."""

from datetime import UTC, datetime

import msgspec
import pytest

from apps.contracts.interface import ContractCreated, Participant, PartyRole
from apps.core.ids import new_id
from apps.core.seam.errors import Forbidden
from apps.core.seam.events import EventEnvelope
from apps.core.seam.registry import call
from apps.notifications.interface import NOTIFICATIONS, BadNotificationCursor, NotificationKind, NotificationNotFound
from tests.world import World


def tell(world: World, *people, number: str = "LC-2026-000001"):
    created = ContractCreated(
        contract_id=new_id(),
        number=number,
        participants=tuple(Participant(user_id=person.id, role=PartyRole.SELLER) for person in people),
    )
    event = EventEnvelope(
        event_id=new_id(),
        type=created.TYPE,
        aggregate_id=created.contract_id,
        sequence=1,
        occurred_at=datetime.now(UTC),
        actor_id=None,
        payload=msgspec.Raw(msgspec.json.encode(created)),
    )
    return call(NOTIFICATIONS).receive(ctx=world.ctx(key=str(event.event_id)), event=event), event


def test_everyone_concerned_is_told_once(world: World):
    seller, buyer, stranger = world.person(), world.person(), world.person()
    receipt, event = tell(world, seller, buyer)
    again = call(NOTIFICATIONS).receive(ctx=world.ctx(key=str(event.event_id)), event=event)
    assert (receipt.effect, again) == ("told 2", receipt)
    for person in (seller, buyer):
        page = call(NOTIFICATIONS).list(ctx=world.ctx(person))
        assert (len(page.items), page.unread) == (1, 1)
        assert page.items[0].kind is NotificationKind.CONTRACT_CREATED
        assert "LC-2026-000001" in page.items[0].title
    assert call(NOTIFICATIONS).list(ctx=world.ctx(stranger)).items == ()


def test_reading_is_ones_own_and_once(world: World):
    one, other = world.person(), world.person()
    tell(world, one)
    (message,) = call(NOTIFICATIONS).list(ctx=world.ctx(one)).items
    with pytest.raises(NotificationNotFound):
        call(NOTIFICATIONS).mark_read(ctx=world.ctx(other), notification_id=message.id)
    read = call(NOTIFICATIONS).mark_read(ctx=world.ctx(one), notification_id=message.id)
    again = call(NOTIFICATIONS).mark_read(ctx=world.ctx(one), notification_id=message.id)
    assert read.read_at is not None
    assert again.read_at == read.read_at
    assert call(NOTIFICATIONS).unread_count(ctx=world.ctx(one)) == 0


def test_messages_are_paged_newest_first(world: World):
    person = world.person()
    for index in range(5):
        tell(world, person, number=f"N{index}")
    first = call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=3)
    rest = call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=3, cursor=first.next_cursor)
    numbers = [item.title for item in (*first.items, *rest.items)]
    assert len(numbers) == 5
    assert [number for index, number in enumerate(numbers) if f"N{4 - index}" not in number] == []
    assert rest.next_cursor is None
    with pytest.raises(BadNotificationCursor):
        call(NOTIFICATIONS).list(ctx=world.ctx(person), cursor="rubbish")


def test_all_are_marked_at_once(world: World):
    person = world.person()
    for _ in range(3):
        tell(world, person)
    assert call(NOTIFICATIONS).mark_all_read(ctx=world.ctx(person)) == 3
    assert call(NOTIFICATIONS).list(ctx=world.ctx(person), unread_only=True).items == ()


def test_only_system_work_sends_mail(world: World):
    with pytest.raises(Forbidden):
        call(NOTIFICATIONS).send_mail(ctx=world.ctx(world.person()))

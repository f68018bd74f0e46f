"""E-mails in this process: who gets one in which words, and when a failed one is tried again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.seam.client.registry import call
from apps.notifications.gateways import mail as gateway
from apps.notifications.interface import NOTIFICATIONS, NotificationKind
from apps.notifications.logic import mail as logic
from apps.notifications.logic.creation import create_messages
from apps.notifications.models import Mail, Notification
from apps.notifications.tests.test_contract import deliver
from apps.workflow.interface import StageStarted
from tests.world import World

NUMBER = "LC-2026-000007"


def message(
    *people, kind: NotificationKind = NotificationKind.CONTRACT_CREATED, sender=None, contract_id=None
) -> list[Mail]:
    """An e-mail to each of these, due at once; about a contract of its own where none is given."""
    event = new_id()
    recipients = [person.id for person in people]
    parameters = {"number": NUMBER}
    with transaction.atomic(using=database_of("notifications")):
        create_messages(
            event_id=event,
            recipients=recipients,
            kind=kind,
            contract_id=contract_id or new_id(),
            parameters=parameters,
            sender=sender,
        )
    return list(Mail.objects.filter(notification__event_id=event).order_by("created_at", "id"))


@pytest.fixture(autouse=True)
def no_older_ones(here: World) -> None:
    """No e-mail of another test becomes due, not even one that was put off."""
    Mail.objects.filter(sent_at=None, gave_up_at=None).update(gave_up_at=timezone.now())


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """What was sent: subject and body by address. Addresses of `broken.example` fail."""
    sent: dict[str, tuple[str, str]] = {}

    def send(*, mail_id: object, to: str, subject: str, body: str) -> None:
        if to.endswith("broken.example"):
            raise OSError("550 нет такого адреса")
        sent[to] = (subject, body)

    monkeypatch.setattr(gateway, "send", send)
    return sent


def test_each_recipient_is_written_to_once_in_their_language(here: World, outbox: dict[str, tuple[str, str]]):
    russian, english = here.person(name="Ёлкина Анна"), here.person(name="Ann Fir")
    call(AUTHENTICATION).update_profile(ctx=here.ctx(english), locale="en")
    mails = message(russian, english, russian)
    assert len(mails) == 2
    report = call(NOTIFICATIONS).send_mail(ctx=here.ctx())
    assert (report.sent, report.failed) == (2, 0)
    subject, body = outbox[english.email]
    assert subject == f"Contract {NUMBER} was drawn up"
    link = f"{settings.PUBLIC_URL}/contracts/{mails[1].notification.contract_id}/"
    assert body == f"Ann Fir,\n\nYou take part in the contract of sale {NUMBER}.\n\n{link}\n"
    assert outbox[russian.email][0] == f"Составлен договор {NUMBER}"
    outbox.clear()
    assert call(NOTIFICATIONS).send_mail(ctx=here.ctx()).sent == 0
    assert outbox == {}


def test_one_that_fails_does_not_hold_up_the_others(here: World, outbox: dict[str, tuple[str, str]]):
    good, blocked = here.person(), here.person()
    broken = call(AUTHENTICATION).register(
        ctx=here.ctx(), email=f"{new_id().hex}@broken.example", password="correct-horse-battery", full_name="Нет"
    )
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=blocked.id, is_active=False)
    mails = message(broken, blocked, good)
    report = call(NOTIFICATIONS).send_mail(ctx=here.ctx())
    assert (report.sent, report.failed) == (1, 2)
    assert list(outbox) == [good.email]
    by_person = {mail.notification.recipient_id: Mail.objects.get(id=mail.id) for mail in mails}
    assert "550 нет такого адреса" in by_person[broken.id].last_error
    assert by_person[blocked.id].last_error == "the recipient has no active account"
    assert (by_person[good.id].last_error, by_person[good.id].attempts) == ("", 1)
    assert by_person[good.id].sent_at is not None
    assert by_person[broken.id].sent_at is None


def test_the_next_attempts_are_further_and_further_apart_and_the_eighth_is_the_last(here: World):
    (mail,) = message(here.person())
    for attempt in range(1, 8):
        logic.record(mail, "421 позже")
        stored = Mail.objects.get(id=mail.id)
        wait = stored.next_attempt_at - timezone.now()
        assert timedelta(0) <= timedelta(seconds=30 * 2**attempt) - wait < timedelta(seconds=5)
        assert (stored.attempts, stored.last_error, stored.gave_up_at) == (attempt, "421 позже", None)
    logic.record(mail, "421 позже")
    given_up = Mail.objects.get(id=mail.id)
    assert (given_up.attempts, given_up.gave_up_at is not None, given_up.sent_at) == (8, True, None)
    Mail.objects.filter(id=mail.id).update(next_attempt_at=timezone.now())
    assert mail.id not in [taken.id for taken in logic.take(database_of("notifications"))]


def test_an_outcome_that_comes_after_another_rounds_success_changes_nothing(here: World):
    (mail,) = message(here.person())
    logic.record(Mail.objects.get(id=mail.id), None)
    sent_at = Mail.objects.get(id=mail.id).sent_at
    logic.record(mail, "421 позже")
    stored = Mail.objects.get(id=mail.id)
    assert (stored.sent_at, stored.attempts, stored.last_error) == (sent_at, 1, "")


def test_a_round_takes_fifty_that_no_other_takes_for_five_minutes(here: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "MAILS_AN_HOUR_TO_ONE", 100)
    person = here.person()
    while logic.take(database_of("notifications")):  # what other tests left is taken first
        pass
    mails = {mail.id for _ in range(51) for mail in message(person)}
    before = timezone.now()
    first, second = (
        {mail.id for mail in logic.take(database_of("notifications")) if mail.id in mails} for _ in range(2)
    )
    assert (len(first), len(first | second), first & second) == (50, 51, set())
    lease = timedelta(seconds=300)
    for mail in Mail.objects.filter(id__in=first):
        assert before + lease <= mail.next_attempt_at <= timezone.now() + lease
    Mail.objects.filter(id__in=mails).update(sent_at=timezone.now())


def test_a_mail_has_a_subject_of_one_line_and_an_id_that_stays(mailoutbox: list):
    mail_id = new_id()
    for _ in range(2):
        gateway.send(mail_id=mail_id, to="a@test.example", subject="Договор\nподписан", body="Текст")
    assert [sent.subject for sent in mailoutbox] == ["Договор подписан"] * 2
    assert {sent.extra_headers["Message-ID"] for sent in mailoutbox} == {f"<{mail_id}@{settings.MAIL_DOMAIN}>"}
    assert mailoutbox[0].to == ["a@test.example"]


def mails(*people, sender=None, times: int = 1) -> int:
    return sum(len(message(*people, sender=sender and sender.id)) for _ in range(times))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TO_ONE", 5), ("BY_ONE", 6), ("BY_ONE_TO_ONE", 3)):
        monkeypatch.setattr(settings, f"MAILS_AN_HOUR_{name}", value)


@pytest.mark.usefixtures("limits")
def test_one_persons_acts_write_to_one_other_few_times_an_hour(here: World):
    sender, stranger, other = here.person(), here.person(), here.person()
    assert mails(stranger, sender=sender, times=10) == 3
    assert Notification.objects.filter(recipient_id=stranger.id).count() == 10, "the messages are there"
    assert mails(other, sender=sender) == 1
    assert mails(stranger, sender=other) == 1


@pytest.mark.usefixtures("limits")
def test_one_persons_acts_write_to_all_others_few_times_an_hour(here: World):
    sender, people = here.person(), [here.person() for _ in range(8)]
    assert mails(*people[:4], sender=sender) == 4
    assert mails(*people[4:], sender=sender) == 2
    assert mails(here.person(), sender=sender) == 0
    assert mails(sender, sender=sender) == 1, "of one's own acts one is told"
    assert mails(people[-1]) == 1


@pytest.mark.usefixtures("limits")
def test_an_official_who_leads_many_sales_is_not_limited_as_their_sender(here: World):
    official, seller, buyer = here.person(), here.person(), here.person()
    contract = here.contract(seller, buyer)
    Mail.objects.filter(notification__recipient_id__in=[seller.id, buyer.id]).delete()
    stage = {"workflow_id": new_id(), "contract_id": contract.id, "stage": "payment", "planned_date": date(2026, 12, 1)}
    for _ in range(4):
        deliver(here, StageStarted(**stage), actor_id=official.id)
    assert Mail.objects.filter(notification__recipient_id=seller.id).count() == 4


@pytest.mark.usefixtures("limits")
def test_one_person_is_written_to_few_times_an_hour(here: World):
    stranger = here.person()
    assert sum(mails(stranger, sender=here.person()) for _ in range(7)) == 5
    assert mails(stranger) == 0
    Notification.objects.filter(recipient_id=stranger.id).update(created_at=timezone.now() - timedelta(minutes=61))
    assert mails(stranger) == 1


@pytest.mark.usefixtures("limits")
def test_what_strangers_cause_keeps_a_person_from_no_mail_about_a_sale_of_his_own(here: World):
    person, other, sale = here.person(), here.person(), new_id()
    message(person, other, sender=person.id, contract_id=sale)
    for _ in range(3):
        message(person, sender=person.id, contract_id=sale)
    assert sum(mails(person, sender=here.person()) for _ in range(7)) == 5, "his own acts do not count"
    assert len(message(person, other, sender=other.id, contract_id=sale)) == 2
    assert mails(person, sender=other) == 0, "of another sale"
    assert len(message(person, sender=person.id)) == 1, "of his first act in another sale he is told"


@pytest.mark.usefixtures("limits")
def test_of_ones_own_acts_one_is_told_few_times_an_hour(here: World):
    """Anybody may register under an address that is not his."""
    person, other = here.person(), here.person()
    assert mails(person, sender=person, times=8) == 5
    assert mails(person, sender=other) == 1
    assert mails(other, sender=person) == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_may_be_one_or_none(here: World, monkeypatch: pytest.MonkeyPatch, limit: int):
    sender, people = here.person(), [here.person() for _ in range(3)]
    for name, send in (
        ("BY_ONE_TO_ONE", lambda: mails(people[0], sender=sender, times=2)),
        ("TO_ONE", lambda: mails(people[1], sender=sender, times=2)),
        ("TO_ONE", lambda: mails(sender, sender=sender, times=2)),
        ("BY_ONE", lambda: mails(people[2], sender=people[0], times=2)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(settings, f"MAILS_AN_HOUR_{name}", limit)
            assert send() == limit, name


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ёлкина Анна-Мария", "Ёлкина Анна-Мария,\n\n"),
        ("ООО «Поле» им. Ленина", "ООО «Поле» им. Ленина,\n\n"),
        ("И. И. Иванов", "И. И. Иванов,\n\n"),
        ("КУПИТЕ http://evil.example", ""),
        ("Приз на evil.example", ""),
        ("me@evil", ""),
    ],
)
def test_a_name_with_an_address_is_no_greeting(
    here: World, outbox: dict[str, tuple[str, str]], name: str, greeting: str
):
    person = here.person(name=name)
    message(person)
    call(NOTIFICATIONS).send_mail(ctx=here.ctx())
    assert outbox[person.email][1].startswith(f"{greeting}Вы участвуете")


@pytest.mark.usefixtures("limits")
def test_a_hundred_contracts_that_name_a_stranger_write_to_him_a_few_times(here: World):
    seller, stranger = here.person(), here.person()
    plot = here.plot(seller)
    for _ in range(12):
        here.contract(seller, stranger, plot=plot)
    here.settle()
    assert Notification.objects.filter(recipient_id=stranger.id).count() == 24, "of contracts and their first stages"
    assert Mail.objects.filter(notification__recipient_id=stranger.id).count() == 3


@pytest.mark.usefixtures("limits")
def test_of_the_stages_of_his_own_sale_a_person_hears_whoever_begins_them(here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    here.settle()
    Mail.objects.filter(notification__recipient_id=buyer.id).delete()
    stage = {"workflow_id": new_id(), "contract_id": contract.id, "stage": "payment", "planned_date": date(2026, 12, 1)}
    for _ in range(4):
        deliver(here, StageStarted(**stage), actor_id=seller.id)
    assert Mail.objects.filter(notification__recipient_id=buyer.id).count() == 3, "he has not acted in it yet"
    message(buyer, sender=buyer.id, contract_id=contract.id)
    deliver(here, StageStarted(**stage), actor_id=seller.id)
    assert Mail.objects.filter(notification__recipient_id=buyer.id).count() == 5


@pytest.mark.usefixtures("limits")
def test_many_messages_at_once_keep_the_limit(here: World):
    stranger, senders = here.person(), [here.person() for _ in range(12)]

    def send(sender) -> None:
        message(stranger, sender=sender.id)
        connections.close_all()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(send, senders))
    assert Mail.objects.filter(notification__recipient_id=stranger.id).count() == 5

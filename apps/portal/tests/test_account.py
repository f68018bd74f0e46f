"""The person: registration, signing in and out, profile, messages."""

from __future__ import annotations

import re
import secrets

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.seam.client.registry import call
from apps.notifications.interface import NOTIFICATIONS
from apps.portal.tests.people import PASSWORD, Person, text


def test_registration_opens_an_account_and_signs_in():
    browser = Client(headers={"accept-language": "en"})
    email = f"{secrets.token_hex(8)}@portal.example"
    form = {"email": email, "password": PASSWORD, "full_name": "Анна Новая", "roles": ["seller", "lawyer"]}
    answer = browser.post(reverse("portal:register"), form, follow=True)
    assert answer.status_code == 200
    assert "Your account is open" in text(answer)
    assert email in text(browser.get(reverse("portal:profile")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"email": "anna@"}, "valid email"),
        ({"password": "12345678"}, "numeric"),
        ({"password": "short"}, "at least 8"),
        ({"phone": "call me"}, "digits, spaces"),
        ({"roles": ["administrator"]}, "valid choice"),
        ({"full_name": ""}, "required"),
    ],
)
def test_wrong_registrations_say_why_and_keep_what_was_typed(change, words):
    form = {"email": f"{secrets.token_hex(8)}@portal.example", "password": PASSWORD, "full_name": "Анна Новая",
            "roles": ["seller"], "phone": "", **change}  # fmt: skip
    answer = Client(headers={"accept-language": "en"}).post(reverse("portal:register"), form)
    assert answer.status_code == 422
    assert words in text(answer)
    assert form["email"] in text(answer)
    assert 'aria-invalid="true"' in text(answer)


def test_an_address_is_registered_once():
    registered = Person()
    form = {"email": registered.email, "password": PASSWORD, "full_name": "Другой", "roles": ["buyer"]}
    answer = Client(headers={"accept-language": "en"}).post(reverse("portal:register"), form)
    assert answer.status_code == 409
    assert "exists already" in text(answer)


def test_wrong_password_unknown_person_and_lock_out_look_the_same():
    email = Person().email
    browser = Client(headers={"accept-language": "en"})

    def attempt(email: str, password: str) -> tuple[int, str]:
        answer = browser.post(reverse("portal:sign-in"), {"email": email, "password": password})
        notices = re.findall(r'role="alert">(.*?)</div>', text(answer), re.DOTALL)
        return answer.status_code, notices[0]

    wrong = attempt(email, "not the password")
    assert wrong[0] == 401
    assert attempt("unknown@portal.example", "not the password") == wrong
    for _ in range(5):
        attempt(email, "not the password")
    assert attempt(email, PASSWORD) == wrong


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(elsewhere):
    person = Person()
    form = {"email": person.email, "password": PASSWORD, "next": elsewhere}
    answer = Client().post(reverse("portal:sign-in"), form)
    assert answer["Location"] == reverse("portal:contracts")


def test_signing_out_takes_a_post():
    person = Person()
    assert person.get("sign-out").status_code == 405
    person.post("sign-out")
    assert person.get("contracts").status_code == 302


def test_forms_without_their_token_are_refused():
    careful = Client(enforce_csrf_checks=True)
    assert careful.post(reverse("portal:sign-in"), {"email": "a@b.example", "password": PASSWORD}).status_code == 403


def test_messages_are_counted_read_and_only_ones_own():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer)
    count = call(NOTIFICATIONS).unread_count(ctx=buyer.ctx)
    assert count > 0
    assert buyer.get("unread").json() == {"unread": count}
    page = text(buyer.get("notifications"))
    assert contract.number in page
    assert f"data-count>{count}<" in page
    (message, *_) = call(NOTIFICATIONS).list(ctx=buyer.ctx).items
    assert seller.post("read", {}, message.id).status_code == 404
    opened = buyer.post("read", {"open": "1"}, message.id)
    assert opened["Location"] == reverse("portal:contract", args=[message.contract_id])
    buyer.post("read-all")
    assert buyer.get("unread").json() == {"unread": 0}


def test_the_profile_changes_and_the_language_with_it():
    person = Person()
    wrong = person.post("profile", {"full_name": "", "phone": "call me", "locale": "en"})
    assert wrong.status_code == 422
    assert "call me" in text(wrong)
    form = {"full_name": "Анна Луговая", "phone": "+7 900 1234567", "locale": "ru"}
    answer = person.browser.post(reverse("portal:profile"), form, follow=True)
    assert "Анна Луговая" in text(answer)
    assert '<html lang="ru">' in text(answer)

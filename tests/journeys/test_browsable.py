"""The browsable API for a person with a browser session: pages, raw JSON forms, CSRF."""

import json
import secrets

import pytest
from django.test import Client

from apps.authentication.interface import AUTHENTICATION
from apps.core.seam.registry import call
from tests.world import PASSWORD, World, cadastral_number


@pytest.fixture
def browser(here: World):
    person = here.person()
    client = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
    assert client.login(username=person.email, password=PASSWORD)
    return client, person


def test_a_page_shows_the_answer_and_a_raw_form_filled_in(browser):
    client, _ = browser
    page = client.get("/api/v1/land-plots")
    assert page.status_code == 200
    text = page.content.decode()
    assert "cadastral_number" in text
    assert "_content" in text
    assert "next_cursor" in text


def test_posting_needs_the_csrf_token(browser):
    client, _ = browser
    body = json.dumps({"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "10"})
    refused = client.post("/api/v1/land-plots", body, content_type="application/json")
    assert refused.status_code == 403
    client.get("/api/v1/land-plots")
    token = client.cookies["csrftoken"].value
    made = client.post("/api/v1/land-plots", body, content_type="application/json", headers={"X-CSRFToken": token})
    assert made.status_code == 201, made.content


def test_log_in_by_form_is_locked_out_like_the_api(here: World):
    person = here.person()
    client = Client()
    for _ in range(5):
        assert not client.login(username=person.email, password="wrong-password")
    assert not client.login(username=person.email, password=PASSWORD)


def test_a_blocked_person_cannot_sign_in(here: World):
    person = here.person()
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=False)
    assert not Client().login(username=person.email, password=PASSWORD)
    assert not Client().login(username=secrets.token_hex(4), password=PASSWORD)

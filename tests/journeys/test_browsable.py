"""The browsable API for a person with a browser session: pages, raw JSON forms, CSRF."""

import json
import secrets

import pytest
from django.test import Client

from apps.authentication.interface import AUTHENTICATION
from apps.core.seam.client.registry import call
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
    created = client.post("/api/v1/land-plots", body, content_type="application/json", headers={"X-CSRFToken": token})
    assert created.status_code == 201, created.content


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


@pytest.mark.parametrize(
    "path", ["documents/upload", "signatures/sign", "contracts/00000000-0000-0000-0000-000000000000"]
)
def test_a_refusal_inside_a_page_is_a_page(browser, path: str):
    client, _ = browser
    page = client.get(f"/api/v1/{path}")
    assert page.status_code in {404, 405}
    assert page["Content-Type"].startswith("text/html")
    assert "<!DOCTYPE html>" in page.content.decode()


def test_the_upload_page_has_a_form_for_a_file(browser):
    client, _ = browser
    text = client.get("/api/v1/documents/upload").content.decode()
    assert 'type="file"' in text
    assert 'name="contract_id"' in text
    assert "multipart/form-data" in text

"""The admin's pages for relocating a service's data: plan first, then the action by the worker, then the record."""

import secrets

import pytest
from django.test import Client

from apps.authentication.models import User
from apps.extraction import tasks
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome
from tests.world import PASSWORD

PAGE = "/admin/extraction/dashboard/notifications/"


@pytest.fixture
def sent_tasks(monkeypatch) -> list:
    """The tasks sent to the worker."""
    from landcontracts.celery import app

    sent: list = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: sent.append((name, args)))
    return sent


def sign_in(*, is_superuser: bool = True) -> Client:
    email = f"{secrets.token_hex(6)}@admin.example"
    User.objects.create_superuser(email, PASSWORD, full_name="Админ", is_superuser=is_superuser)
    client = Client()
    assert client.post("/admin/login/?next=/admin/", {"username": email, "password": PASSWORD}).status_code == 302
    return client


@pytest.mark.usefixtures("verified")
def test_plan_then_cutover_then_record(service: str, sent_tasks: list):
    client = sign_in()
    overview = client.get("/admin/extraction/move/", headers={"accept-language": "en"}).content.decode()
    row = overview[overview.index(">notifications</a>") :].partition("</tr>")[0]
    assert "shared database" in row
    assert f"{PAGE}act/cutover/" in client.get(PAGE).content.decode()
    page = client.get(f"{PAGE}act/cutover/").content.decode()
    assert "replica identity" in page
    assert client.post(f"{PAGE}act/cutover/", {"reason": " "}).status_code == 422
    assert sent_tasks == []
    assert client.post(f"{PAGE}act/cutover/", {"reason": "пора"}).status_code == 302
    ((name, args),) = sent_tasks
    assert name == "extraction.act"
    tasks.act(*args)
    move = Move.objects.get(id=args[0])
    assert (move.outcome, move.reason, move.where) == (Outcome.DONE, "пора", "admin")
    assert stages.observe(service).primary == service
    tasks.act(*args)  # the same message once more
    assert stages.observe(service).primary == service
    assert Move.objects.filter(service=service, verb="cutover").latest("started_at").id == move.id
    shown = client.get(f"/admin/extraction/move/{move.id}/change/").content.decode()
    assert "marker" in shown


@pytest.mark.usefixtures("following")
def test_an_action_that_the_stage_does_not_allow_is_not_sent(sent_tasks: list):
    client = sign_in()
    assert client.post(f"{PAGE}act/decommission/", {"reason": "нет"}).status_code == 422
    assert client.post(f"{PAGE}act/DROP/", {"reason": "нет"}).status_code == 404
    assert sent_tasks == []


def test_superusers_only(database: None):
    assert sign_in(is_superuser=False).get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302

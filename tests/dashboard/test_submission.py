"""A canary is controlled through the pages: each action after its plan, with a reason, by a superuser, and recorded."""

import re

import pytest
from django.test import Client

from apps.extraction import tasks
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryEntry
from apps.extraction.state.models import Move, Outcome
from tests.dashboard.conftest import HOME, PAGE, SERVICE, sign_in

RULES = {
    "steps": "5 25 100", "step_seconds": 60, "shadow_percent": 0, "false_rollback": "0,01", "tolerated_errors": "0,01",
    "least_harm": "0,001", "allowed_slower_ms": 25, "allowed_slower": "0,5", "allowed_mismatches": "0,005",
    "least_units": 5, "least_compared": 5, "silent_seconds": 30, "patience_seconds": 1800,
}  # fmt: skip


def act(client: Client, action: str, **fields):
    """Read the page, then send its form, as a person does."""
    shown = re.search(r'name="place" value="([^"]+)"', client.get(f"{PAGE}act/{action}/").content.decode())
    return client.post(f"{PAGE}act/{action}/", {"place": shown[1] if shown else "", **fields})


@pytest.fixture
def free(rollout) -> None:
    """No canary is under way before and after the test."""
    shares.switch_off(SERVICE, "remote")
    shares.set_share(SERVICE, "shadow", 0)


@pytest.mark.usefixtures("free")
def test_a_promotion_sent_twice_promotes_once(admin: Client):
    act(admin, "canary-deploy", **RULES, reason="первая проба")
    place = controller.position(controller.open_canary(SERVICE))
    assert [act(admin, "canary-promote", reason="дальше", place=place).status_code for _ in range(2)] == [302, 422]
    assert controller.open_canary(SERVICE).step == 1


@pytest.mark.usefixtures("free")
def test_a_canary_is_controlled_through_the_pages(admin: Client):
    who = admin.get("/admin/").wsgi_request.user.email
    assert "SEAM_AWAY" not in admin.get(f"{PAGE}act/canary-deploy/").content.decode()
    answer = act(admin, "canary-deploy", **RULES, reason="первая проба")
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    canary = CanaryDeployment.objects.filter(service=SERVICE, ended_at=None).get()
    assert canary.rules["steps"] == [5.0, 25.0, 100.0]
    assert canary.rules["false_rollback"] == 0.01
    assert (canary.who, canary.reason) == (who, "первая проба")
    for action, state, share in (
        ("canary-hold", "held", 5),
        ("canary-resume", "running", 5),
        ("canary-promote", "running", 25),
        ("canary-roll-back", "rolled_back", 25),
    ):
        assert admin.get(f"{PAGE}act/{action}/").status_code == 200
        assert act(admin, action, reason=f"для {action}").status_code == 302
        canary.refresh_from_db()
        assert canary.state == state
        flag = shares.flag(SERVICE, "remote")
        assert flag.everyone is (False if state == "rolled_back" else None)
        assert flag.percent == share
    entries = CanaryEntry.objects.filter(canary=canary).exclude(action="judge").order_by("id")
    assert [(entry.action, entry.who) for entry in entries] == [
        (action, who) for action in ("deploy", "hold", "resume", "promote", "roll-back")
    ]
    assert entries.last().reason == "для canary-roll-back"
    shown = admin.get(PAGE).content.decode()
    assert shown.count("для canary-") == 4
    assert act(admin, "canary-promote", reason="ещё").status_code == 422


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("steps", "50 5", "steps are rising shares"),
        ("steps", "5 ; drop", "Numbers, separated by spaces"),
        ("steps", "0.001 5", "two decimals"),
        ("steps", "nan", "Numbers, separated by spaces"),
        ("steps", "5 101", "steps are rising shares"),
        ("step_seconds", "0", "times and least numbers"),
        ("step_seconds", "9" * 30, "1000000000"),
        ("shadow_percent", "101", "shadow_percent is 0 to 100"),
        ("false_rollback", "0.7", "false_rollback is a probability"),
        ("tolerated_errors", "1", "rates are between"),
        ("allowed_slower", "inf", "Enter a number"),
        ("reason", " ", "required"),
    ],
)
def test_an_invalid_rule_is_reported_at_its_field(field: str, value: str, words: str):
    client = sign_in("en")
    answer = act(client, "canary-deploy", **{**RULES, "false_rollback": "0.01", "tolerated_errors": "0.01",
                 "least_harm": "0.001", "allowed_slower": "0.5", "allowed_mismatches": "0.005", "reason": "x", field: value})  # fmt: skip
    assert answer.status_code == 422
    page = answer.content.decode()
    place = page.index(f'id="id_{field}"')
    assert words in page[place : place + 600], page[place : place + 600]
    assert not CanaryDeployment.objects.filter(service=SERVICE, ended_at=None).exists()


def test_a_service_whose_process_does_not_run_gets_no_canary(admin: Client):
    client = sign_in("en")
    path = f"{HOME}workflow/act/canary-deploy/"
    page = client.get(path).content.decode()
    assert "Its process does not answer" in page
    assert '<button class="dash-button' not in page
    assert client.post(path, {**RULES, "reason": "x"}).status_code == 422
    assert not CanaryDeployment.objects.filter(service="workflow").exists()


def test_a_refusal_of_the_controller_is_shown_and_nothing_is_done(admin: Client, watched, monkeypatch):
    from apps.extraction.routing.canary import actions, controller

    def refused(service, by):
        raise controller.CanaryRefused("another person was quicker")

    monkeypatch.setitem(actions.ACTIONS, "hold", actions.HOLD._replace(perform=refused))
    answer = act(admin, "canary-hold", reason="x")
    assert answer.status_code == 422
    assert "another person was quicker" in answer.content.decode()
    assert watched.read().state == "running"


def test_the_plan_says_what_share_of_people_goes_where(watched):
    client = sign_in("en")
    plan = client.get(f"{PAGE}act/canary-promote/").content.decode().replace("\xa0", " ")
    assert "rises from 25 % to 50 % of people now" in plan
    assert "None of the 25 % of people stays on the remote process" in client.get(
        f"{PAGE}act/canary-roll-back/"
    ).content.decode().replace("\xa0", " ")
    shadow = client.get(f"{PAGE}act/shadow/").content.decode()
    assert "The canary leads the flags until it ends." in shadow


@pytest.mark.usefixtures("free")
def test_the_shadowed_share_and_serving_all_locally(apart: str):
    client = sign_in("en")
    assert act(client, "shadow", share="150", reason="x").status_code == 422
    assert act(client, "shadow", share="12.5", reason="look").status_code == 302
    assert float(shares.flag(SERVICE, "shadow").percent) == 12.5
    assert act(client, "home", reason="x").status_code == 422
    shares.set_share(SERVICE, "remote", 40)
    assert act(client, "home", reason="they are slow").status_code == 302
    assert shares.flag(SERVICE, "remote").everyone is False
    assert "they are slow" in client.get(PAGE).content.decode()


def test_an_action_is_sent_to_the_worker_once_its_plan_was_read(monkeypatch):
    from landcontracts.celery import app

    sent: list = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: sent.append((name, args)))
    client, path = sign_in("en"), f"{HOME}signatures/act/prepare/"
    page = client.get(path).content.decode()
    assert "apply the service" in page
    assert client.post(path, {"reason": ""}).status_code == 422
    assert client.post(f"{HOME}signatures/act/cutover/", {"reason": "now"}).status_code == 422
    assert sent == []
    assert client.post(path, {"reason": "now"}).status_code == 302
    ((name, (move_id,)),) = sent
    move = Move.objects.get(id=move_id)
    assert (name, move.outcome, move.where, move.reason) == ("extraction.act", Outcome.ASKED, "admin", "now")
    assert "Under way: prepare" in client.get(f"{HOME}signatures/").content.decode()
    assert "is under way" in client.get(f"{HOME}signatures/act/sync/").content.decode()
    tasks.act(move_id)
    move.refresh_from_db()
    assert move.outcome == Outcome.DONE


def test_an_unreachable_queue_begins_nothing_and_is_reported(monkeypatch):
    from kombu.exceptions import OperationalError

    from landcontracts.celery import app

    def unreachable(*args, **kwargs):
        raise OperationalError("no broker")

    monkeypatch.setattr(app, "send_task", unreachable)
    client = sign_in("en")
    answer = client.post(f"{HOME}workflow/act/prepare/", {"reason": "now"})
    assert answer.status_code == 422
    assert "queue does not answer" in answer.content.decode()
    assert Move.objects.filter(service="workflow", verb="prepare").latest("started_at").outcome == Outcome.FAILED


def test_only_superusers_act_and_only_by_post_with_a_token(watched):
    viewer = sign_in(is_superuser=False, may_view=True)
    assert viewer.get(f"{PAGE}act/canary-hold/").status_code == 403
    assert act(viewer, "canary-hold", reason="x").status_code == 403
    assert act(Client(), "canary-hold", reason="x").status_code == 302
    admin = sign_in()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    assert act(strict, "canary-hold", reason="x").status_code == 403
    assert admin.put(f"{PAGE}act/canary-hold/").status_code == 405
    admin.get(f"{PAGE}act/canary-hold/?reason=x")
    assert watched.read().state == "running"

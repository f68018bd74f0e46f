"""Sign-offs, overrides, retention, pages, and the admin's page of the checklist."""

import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from apps.authentication.models import User
from apps.extraction import tasks
from apps.extraction.decommission import overrides, requirements, results
from apps.extraction.decommission.checklist import ITEMS
from apps.extraction.decommission.items import documentation, monitoring, sign_offs
from apps.extraction.decommission.models import ChecklistResult, Override, SignOff
from tests.world import PASSWORD

SERVICE = "workflow"
PAGE = f"/admin/extraction/move/checklist/{SERVICE}/"


@pytest.fixture
def service() -> str:
    """A name that no other test has used: records are kept for ever."""
    return f"w{secrets.token_hex(6)}"


def administrator(*, is_superuser: bool = True) -> str:
    email = f"{secrets.token_hex(6)}@admin.example"
    User.objects.create_superuser(email, PASSWORD, full_name="Админ", is_superuser=is_superuser)
    return email


def sign_in(email: str) -> Client:
    client = Client()
    assert client.post("/admin/login/?next=/admin/", {"username": email, "password": PASSWORD}).status_code == 302
    return client


def state_of(service: str, item: str) -> tuple[str, str]:
    (result,) = (result for result in results.standing(service) if result.item == item)
    return str(result.state), result.reason


def test_an_unchecked_or_outdated_item_is_not_known(service: str):
    assert {result.state for result in results.standing(service)} == {"not_known"}
    sign_offs.sign_off(service, sign_offs.TRAINED, "anna@land.example", "обучение 1 марта")
    results.run(service, [sign_offs.TRAINED])
    assert state_of(service, sign_offs.TRAINED)[0] == "holds"
    ChecklistResult.objects.filter(service=service).update(valid_until=timezone.now() - timedelta(seconds=1))
    state, reason = state_of(service, sign_offs.TRAINED)
    assert state == "not_known"
    assert reason.startswith("too old")
    assert not next(check for check in requirements.shown(service) if check.name == sign_offs.TRAINED).holds


def test_a_sign_off_expires_is_immutable_and_does_not_serve_its_author(service: str, monkeypatch):
    assert results.run(service, [sign_offs.TRAINED])
    assert state_of(service, sign_offs.TRAINED)[0] == "fails"
    one = sign_offs.sign_off(service, sign_offs.TRAINED, "Anna@land.example", "обучение")
    (held,) = (item for item in results.run(service, [sign_offs.TRAINED]) if item.item == sign_offs.TRAINED)
    assert held.holds
    assert held.evidence["who"] == "Anna@land.example"
    assert one.valid_until - timezone.now() > timedelta(days=179)
    by_herself, by_another = (
        next(check for check in requirements.checks(service, who) if check.name == sign_offs.TRAINED)
        for who in ("anna@LAND.example", "boris@land.example")
    )
    assert (by_herself.holds, by_another.holds) == (False, True)
    for change in (
        "UPDATE extraction_signoff SET who = 'x' WHERE id = %s",
        "DELETE FROM extraction_signoff WHERE id = %s",
    ):
        with pytest.raises(DatabaseError, match=r"[Cc]annot"), connection.cursor() as cursor:
            cursor.execute(change, [one.id])
    monkeypatch.setitem(sign_offs.LASTS, sign_offs.TRAINED, timedelta(seconds=-1))
    sign_offs.sign_off(service, sign_offs.TRAINED, "boris@land.example", "давно")
    results.run(service, [sign_offs.TRAINED])
    assert "has ended" in state_of(service, sign_offs.TRAINED)[1]


def test_retention_is_agreed_with_a_number_of_days(service: str):
    with pytest.raises(sign_offs.NotSigned, match="how many days"):
        sign_offs.sign_off(service, sign_offs.RETENTION, "a@land.example", "152-ФЗ")
    with pytest.raises(sign_offs.NotSigned, match="say who"):
        sign_offs.sign_off(service, sign_offs.RETENTION, " ", "152-ФЗ", 90)
    with pytest.raises(sign_offs.NotSigned, match="nothing that a person"):
        sign_offs.sign_off(service, "backup_verified", "a@land.example", "да")
    results.run(service, [sign_offs.RETENTION])
    assert state_of(service, sign_offs.RETENTION)[0] == "fails"
    sign_offs.sign_off(service, sign_offs.RETENTION, "a@land.example", "152-ФЗ, договор 7", 90)
    (held,) = (item for item in results.run(service, [sign_offs.RETENTION]) if item.item == sign_offs.RETENTION)
    assert (held.holds, held.evidence["keep_days"]) == (True, 90)


def test_an_override_wants_two_people_two_reasons_a_day_and_is_used_once(service: str):
    first, second, member = administrator(), administrator(), administrator(is_superuser=False)
    items = tuple(ITEMS)
    for who, item, reason, words in (
        (first, "no_such_item", "x", "no item"),
        (first, "team_trained", " ", "say why"),
        (member, "team_trained", "x", "no administrator"),
        ("root", "team_trained", "x", "no administrator"),
    ):
        with pytest.raises(overrides.NotOverridden, match=words):
            overrides.ask(service, item, who, "test", reason, items)
    override = overrides.ask(service, "team_trained", first, "test", "обучим позже", items)
    assert overrides.covering(service) == ()
    for who, reason, words in (
        (first, "другая", "another person"),
        (first.upper(), "другая", "another person"),
        (member, "другая", "no administrator"),
        (second, "", "say why"),
        (second, "Обучим позже", "own words"),
    ):
        with pytest.raises(overrides.NotOverridden, match=words):
            overrides.confirm(override.id, who, reason)
    overrides.confirm(override.id, second, "согласен")
    with pytest.raises(overrides.NotOverridden, match="already"):
        overrides.confirm(override.id, second, "ещё раз")
    assert overrides.covering(service) == ("team_trained",)
    assert overrides.covering(f"{service}x") == ()
    checks = requirements.checks(service, first)
    passed = next(check for check in checks if check.name == "team_trained")
    assert passed.holds
    assert passed.seen.startswith(requirements.OVERRIDDEN)
    (record,) = requirements.use_overrides(service, checks, override.id)
    assert (record["asked_by"], record["confirmed_by"]) == (first, second)
    assert overrides.covering(service) == ()
    with pytest.raises(overrides.NotOverridden, match="any more"):
        requirements.use_overrides(service, checks, override.id)
    with pytest.raises(DatabaseError, match=r"[Cc]annot delete"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM extraction_override WHERE id = %s", [override.id])


def test_an_override_is_not_confirmed_and_not_used_after_a_day(service: str):
    first, second = administrator(), administrator()
    late = overrides.ask(service, "all", first, "test", "раз", tuple(ITEMS))
    Override.objects.filter(id=late.id).update(asked_at=timezone.now() - timedelta(hours=25))
    with pytest.raises(overrides.NotOverridden, match="more than a day ago"):
        overrides.confirm(late.id, second, "два")
    unused = overrides.ask(service, "all", first, "test", "раз", tuple(ITEMS))
    overrides.confirm(unused.id, second, "два")
    assert overrides.covering(service) == ("all",)
    Override.objects.filter(id=unused.id).update(confirmed_at=timezone.now() - timedelta(hours=25))
    assert overrides.covering(service) == ()
    # Not even by SQL can one person confirm their own override.
    with pytest.raises(DatabaseError, match="by_two"), connection.cursor() as cursor:
        cursor.execute("UPDATE extraction_override SET confirmed_by = upper(asked_by) WHERE id = %s", [late.id])


def test_a_command_line_alone_passes_nothing_over(capsys):
    first = administrator()
    with pytest.raises(CommandError, match="--as"):
        call_command("extraction", SERVICE, "override", "all", reason="x")
    with pytest.raises(CommandError, match="no administrator"):
        call_command("extraction", SERVICE, "override", "all", "--as=x@y.example", reason="x")
    call_command("extraction", SERVICE, "override", "team_trained", f"--as={first}", reason="срочно")
    assert "team_trained" not in overrides.covering(SERVICE)
    call_command("extraction", SERVICE, "checklist", "--run", "team_trained")
    output = capsys.readouterr().out
    assert "another administrator confirms it" in output
    assert f"of {len(ITEMS)} hold" in output
    with pytest.raises(CommandError, match="no item"):
        call_command("extraction", SERVICE, "checklist", "--run", "nothing")


@pytest.fixture
def sent_tasks(monkeypatch) -> list:
    """The tasks sent to the worker."""
    from landcontracts.celery import app

    sent: list = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_: sent.append((name, args)))
    return sent


def test_the_page_checks_signs_and_passes_over(sent_tasks: list):
    first, second = administrator(), administrator()
    one, other = sign_in(first), sign_in(second)
    page = one.get(PAGE)
    assert page.status_code == 200
    for name in ITEMS:
        assert name in page.content.decode()
    one.post(PAGE, {"action": "check", "item": "rollback_rehearsed"})
    assert sent_tasks == [("extraction.check", [SERVICE, ["rollback_rehearsed"]])]
    tasks.check(*sent_tasks[0][1])
    assert "no rollback was ever rehearsed" in one.get(PAGE).content.decode()
    before = SignOff.objects.count()
    one.post(PAGE, {"action": "sign", "item": "retention_agreed", "statement": "хранить"})
    assert SignOff.objects.count() == before
    one.post(PAGE, {"action": "sign", "item": "retention_agreed", "statement": "хранить <b>", "keep_days": "30"})
    page = one.get(PAGE).content.decode()
    assert "хранить &lt;b&gt;" in page
    assert first in page
    one.post(PAGE, {"action": "ask", "item": "events_drained", "reason": "надо"})
    override = Override.objects.filter(service=SERVICE, asked_by=first).latest("asked_at")
    one.post(PAGE, {"action": "confirm", "override": str(override.id), "reason": "сам себе"})
    override.refresh_from_db()
    assert override.confirmed_at is None
    assert str(override.id) in other.get(PAGE).content.decode()
    assert str(override.id) not in one.get(PAGE).content.decode()
    other.post(PAGE, {"action": "confirm", "override": str(override.id), "reason": "проверено"})
    override.refresh_from_db()
    assert override.confirmed_by == second
    assert one.post(PAGE, {"action": "DROP"}).status_code == 404
    assert one.post(PAGE, {"action": "check", "item": "DROP"}).status_code == 404
    for model in ("checklistresult", "signoff", "override"):
        assert one.get(f"/admin/extraction/{model}/").status_code == 200


def test_superusers_only(database: None):
    assert sign_in(administrator(is_superuser=False)).get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302


@pytest.fixture
def pages(tmp_path: Path, settings) -> Path:
    """A small project with all of its pages."""
    for page in (
        *("apps/workflow/README.md", *documentation.PAGES),
        *(f"migrations_playbook/alerting/runbooks/Quiet{tongue}.md" for tongue in ("", ".ru")),
    ):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(
            '# A page\n\n```sh\nmake manage ARGS="extraction SERVICE remote 5"  # some\n'
            "python manage.py extraction SERVICE cutover --plan && make help\n# a remark\n```\n"
        )
    (tmp_path / monitoring.RULES).write_text(
        "groups: [{name: x, rules: [{alert: Quiet, expr: vector(0), annotations: "
        "{runbook_url: 'https://git.example/migrations_playbook/alerting/runbooks/Quiet.md'}}]}]"
    )
    (tmp_path / "Makefile").write_text("help: ## x\n\techo\nmanage:\n\techo\n")
    settings.BASE_DIR = tmp_path
    return tmp_path


def test_pages_are_there_in_both_languages(pages: Path):
    results.run(SERVICE, ["documentation_updated"])
    assert state_of(SERVICE, "documentation_updated")[0] == "holds", state_of(SERVICE, "documentation_updated")
    (pages / "migrations_playbook/alerting/runbooks/Quiet.ru.md").unlink()
    results.run(SERVICE, ["documentation_updated"])
    assert state_of(SERVICE, "documentation_updated") == (
        "fails",
        "1 pages are missing: migrations_playbook/alerting/runbooks/Quiet.ru.md",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("make nothing", "no such target"),
        ("python manage.py nothing", "no such command"),
        ("python manage.py extraction SERVICE fly", "invalid choice"),
        ('make manage ARGS="extraction SERVICE cutover --soon"', "unrecognized arguments"),
        ("docker compose exec web python manage.py backup --keep many", "invalid int"),
    ],
)
def test_an_unknown_command_is_named(pages: Path, line: str, words: str):
    page = pages / documentation.PAGES[0]
    page.write_text(f"{page.read_text()}\n```sh\n{line}\n```\n")
    results.run(SERVICE, ["documentation_updated"])
    state, reason = state_of(SERVICE, "documentation_updated")
    assert state == "fails"
    assert words in reason
    # A command in running text is not one to type.
    page.write_text(f"{line}\n")
    results.run(SERVICE, ["documentation_updated"])
    assert state_of(SERVICE, "documentation_updated")[0] == "holds"

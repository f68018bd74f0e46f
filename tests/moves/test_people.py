"""Accounts are relocated with their sessions, permissions and the admin's log; people stay signed in."""

import secrets

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.base import UpdateError
from django.test import Client

from apps.authentication.models import User
from apps.authentication.sessions import SessionStore
from apps.core.database import primaries
from apps.core.flags.models import Flag
from apps.core.interface.errors import DomainError
from apps.extraction.relocation import actions
from apps.extraction.state import stages
from tests.moves.conftest import INITIATOR, followed, return_to_shared
from tests.world import PASSWORD, World


@pytest.fixture(scope="module")
def service() -> str:
    return "authentication"


@pytest.fixture
def administrator(prepared: str):
    email = f"{secrets.token_hex(6)}@admin.example"
    return User.objects.create_superuser(email, PASSWORD, full_name="Админ")


def sign_in(email: str) -> Client:
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content[:500]
    return client


@pytest.mark.usefixtures("verified")
def test_sessions_and_log_ins_work_across_a_relocation_and_back(service: str, administrator):
    before = sign_in(administrator.email)
    for turn, primary in ((actions.CUTOVER.perform, service), (actions.ROLLBACK.perform, "default")):
        turn(service, INITIATOR)
        assert before.get("/admin/authentication/user/").status_code == 200
        after = sign_in(administrator.email)  # a session is saved, the last log-in noted
        assert after.get("/admin/").status_code == 200
        assert primaries.database_of(service) == primary
        assert User.objects.get(id=administrator.id).last_login is not None


@pytest.mark.usefixtures("verified")
def test_an_existing_session_is_saved_across_a_relocation_and_back(service: str):
    session = SessionStore()
    session["turn"] = 0
    session.save()
    for number, turn in enumerate((actions.CUTOVER.perform, actions.ROLLBACK.perform), 1):
        turn(service, INITIATOR)
        session["turn"] = number
        session.save()
        assert SessionStore(session.session_key)["turn"] == number


def test_a_session_that_was_deleted_is_not_created_again(prepared: str):
    session = SessionStore()
    session.save()
    session.delete()
    with pytest.raises(UpdateError):
        session.save()


@pytest.mark.usefixtures("verified")
def test_the_admin_writes_its_log_to_the_accounts_database_and_flags_to_the_shared_one(service: str, administrator):
    client = sign_in(administrator.email)
    actions.CUTOVER.perform(service, INITIATOR)
    flag = Flag.objects.get_or_create(name="documents_shadow")[0]
    answer = client.post(
        f"/admin/core/flag/{flag.pk}/change/", {"everyone": "unknown", "percent": "1", "actors": "", "note": ""}
    )
    assert answer.status_code == 302, answer.content[:800]
    entry = LogEntry.objects.filter(user_id=administrator.id).latest("action_time")
    assert entry._state.db == service
    assert Flag.objects.get(pk=flag.pk)._state.db == "default"


@pytest.mark.usefixtures("verified")
def test_numbers_go_on_where_they_were(service: str):
    """Sequences are not replicated: the switch sets them."""
    highest = ContentType.objects.order_by("-id").first().id
    for turn in (actions.CUTOVER.perform, actions.ROLLBACK.perform):
        turn(service, INITIATOR)
        created = ContentType.objects.create(app_label="x", model=secrets.token_hex(6))
        assert created.id > highest
        highest = created.id


@pytest.mark.usefixtures("verified")
def test_two_services_have_their_own_primaries_at_once(here: World, service: str):
    other = "notifications"
    actions.PREPARE.perform(other, INITIATOR)
    try:
        followed(other)
        actions.VERIFY.perform(other, INITIATOR, anew=True)
        actions.CUTOVER.perform(service, INITIATOR)
        actions.CUTOVER.perform(other, INITIATOR)
        seller, buyer = here.person(), here.person()
        here.contract(seller, buyer)
        here.settle()
        primaries_now = {stages.observe(name).primary for name in (service, other)}
        assert primaries_now == {service, other}
    finally:
        return_to_shared(other)


def test_a_session_that_cannot_be_saved_anywhere_is_an_error(monkeypatch, prepared: str, administrator):
    from django.db.utils import ProgrammingError

    from apps.authentication.sessions import SessionStore

    class Refused(Exception):
        sqlstate = "42501"

    def refuse(*_: object, **__: object) -> None:
        raise ProgrammingError("permission denied") from Refused()

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.save", refuse)
    with pytest.raises((ProgrammingError, DomainError)):
        SessionStore().save()

"""The administrator's role and Django's flags are one truth, in this process; what a new password ends."""

import importlib
import secrets
import time
import unicodedata
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from threading import Barrier, Thread
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from apps.authentication import service
from apps.authentication.interface import (
    AUTHENTICATION,
    LastAdministrator,
    Refusal,
    Refused,
    Role,
    SignedIn,
    TokenPair,
    UserNotFound,
)
from apps.authentication.models import LogInFailure, RefreshToken, User
from apps.core.database.primaries import database_of
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from landcontracts import roles
from tests.world import PASSWORD, World

PEOPLE = reverse("admin:authentication_user_changelist")
PERMISSIONS = {"authentication.block_user": "block_user", "authentication.grant_roles": "grant_roles"}


def row(person) -> User:
    return User.objects.get(id=person.id)


@contextmanager
def only_administrators(*people):
    """The only active administrators, for the length of a block."""
    others = list(
        User.objects.filter(is_superuser=True, is_active=True)
        .exclude(id__in=[person.id for person in people])
        .values_list("id", flat=True)
    )
    User.objects.filter(id__in=others).update(is_active=False)
    try:
        yield
    finally:
        User.objects.filter(id__in=others).update(is_active=True)


def signed_in(person, password: str = PASSWORD) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.post(reverse("portal:sign-in"), {"email": person.email, "password": password})
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def test_the_role_opens_the_admin_and_its_loss_closes_it(here: World):
    person, _ = here.administrator(), here.administrator()
    client = signed_in(person)
    assert client.get(PEOPLE).status_code == 200
    assert (row(person).is_staff, row(person).is_superuser) == (True, True)
    call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=person.id, roles=(Role.SELLER,))
    assert (row(person).is_staff, row(person).is_superuser) == (False, False)
    assert client.get(PEOPLE).status_code == 302
    assert client.get(reverse("admin:extraction_dashboard_changelist")).status_code == 302


@pytest.mark.parametrize(
    "flags",
    [
        {"is_superuser": True, "is_staff": True},
        {"roles": ["administrator"]},
        {"roles": ["administrator"], "is_superuser": True, "is_staff": False},
    ],
)
def test_the_database_refuses_two_truths(here: World, flags: dict):
    person = here.person()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(id=person.id).update(**flags)
    User.objects.filter(id=person.id).update(is_staff=True)  # somebody with a few permissions of the admin


def test_the_last_administrator_stays(here: World):
    person = here.administrator()
    with only_administrators(person):
        for lose in (
            lambda: call(AUTHENTICATION).set_roles(ctx=here.ctx(person), user_id=person.id, roles=()),
            lambda: call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=False),
        ):
            with pytest.raises(LastAdministrator):
                lose()
        assert (row(person).is_superuser, row(person).is_active) == (True, True)
        other = here.administrator()
        call(AUTHENTICATION).set_active(ctx=here.ctx(person), user_id=person.id, is_active=False)
        with pytest.raises(LastAdministrator):
            call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=other.id, roles=(Role.BUYER,))
        call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=person.id, roles=(Role.BUYER,))  # blocked already


def test_two_who_leave_at_the_same_time_do_not_both_leave(here: World):
    people, start = [here.administrator() for _ in range(2)], Barrier(2)
    refused = []

    def leave(person) -> None:
        with registry.routed_by(here.resolve):
            start.wait(10)
            try:
                call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=person.id, roles=())
            except LastAdministrator:
                refused.append(person)
            finally:
                connections[database_of("authentication")].close()

    with only_administrators(*people):
        threads = [Thread(target=leave, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(refused) == 1
        assert row(refused[0]).is_superuser


def ensure(email: str, *options: str, **password: str) -> str:
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ADMINISTRATOR_PASSWORD", raising=False)
        for value in password.values():
            patch.setenv("ADMINISTRATOR_PASSWORD", value)
        call_command("ensure_administrator", email, *options, stdout=printed)
    return printed.getvalue().strip()


def test_an_administrator_is_made_sure_of(here: World):
    email = f"{secrets.token_hex(6)}@test.example"
    with pytest.raises(CommandError, match="ADMINISTRATOR_PASSWORD"):
        ensure(email)
    assert ensure(email, password=PASSWORD) == f"created {email}"
    assert (
        ensure(email.upper(), password="another")
        == f"{email.upper()} is an administrator already; the password is as it was"
    )
    assert signed_in(User.objects.get(email=email)).get(PEOPLE).status_code == 200


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("root", PASSWORD, "root is no e-mail address"),
        ("a@b", PASSWORD, "no e-mail address"),
        ("", PASSWORD, "no e-mail address"),
        ("chief@test.example", "short", "length"),
        ("chief@test.example", "12345678", "numeric"),
        ("chief@test.example", "x" * 201, "length"),
        ("chief@test.example", "chief@test.example", "similar"),
    ],
)
def test_an_administrator_who_could_not_log_in_is_not_made(email: str, password: str, reason: str):
    with translation.override("en"), pytest.raises(CommandError, match=reason):
        ensure(email, password=password)
    assert not User.objects.filter(email=email).exists()


def test_an_account_that_exists_is_repaired(here: World):
    person = here.person()
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=False)
    assert ensure(person.email) == f"{person.email} was made an administrator, unblocked; the password is as it was"
    assert row(person).roles == ["seller", "buyer", "administrator"]
    assert signed_in(person).get(PEOPLE).status_code == 200
    with pytest.raises(CommandError, match="ADMINISTRATOR_PASSWORD"):
        ensure(person.email, "--set-password")
    assert (
        ensure(person.email, "--set-password", password="new-horse-battery") == f"{person.email} was given the password"
    )
    assert signed_in(person, "new-horse-battery").get(PEOPLE).status_code == 200


def test_where_there_is_no_administrator_others_are_blocked_all_the_same(here: World):
    person, former = here.person(), here.administrator()
    with only_administrators():
        assert not call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=False).is_active
        roles = call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=former.id, roles=(Role.BUYER,)).roles
    assert roles == (Role.BUYER,)


def test_who_is_made_sure_of_is_locked_out_no_longer(here: World):
    person = here.administrator()
    LogInFailure.objects.bulk_create(LogInFailure(email=person.email, source="x") for _ in range(5))
    assert ensure(person.email) == f"{person.email} was let sign in again; the password is as it was"
    assert not LogInFailure.objects.filter(email=person.email).exists()


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Ёлка-йод-и-ещё-9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("stored", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED)]
)
def test_djangos_own_ways_read_a_password_in_every_form_and_end_no_session(here: World, stored: str, typed: str):
    person = here.person()
    User.objects.filter(id=person.id).update(password=make_password(stored))
    before = row(person)
    assert row(person).check_password(typed)
    assert not row(person).check_password("another-9-password")
    after = row(person)
    assert (after.password, after.password_changed_at) == (before.password, before.password_changed_at)
    after.set_password(typed)
    after.save()
    assert check_password(COMPOSED, row(person).password), "what is stored is of NFC"


def test_who_changes_the_password_in_the_admin_stays_signed_in_there_and_nowhere_else(here: World):
    person = here.administrator()
    browser, other = signed_in(person), signed_in(person)
    page = reverse("admin:password_change")
    answer = browser.post(page, {"old_password": PASSWORD, "new_password1": DECOMPOSED, "new_password2": DECOMPOSED})
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    assert browser.get(PEOPLE).status_code == 200
    assert other.get(PEOPLE).status_code == 302
    assert signed_in(person, COMPOSED).get(PEOPLE).status_code == 200


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_an_action_of_the_admin_asks_for_its_permission(here: World, permission: str):
    staff, person = here.person(), here.person()
    User.objects.filter(id=staff.id).update(is_staff=True)
    client = signed_in(staff)
    row(staff).user_permissions.add(Permission.objects.get(codename="view_user"))
    page = client.get(PEOPLE).content.decode()
    assert "Block the selected people" not in page
    assert "Make the selected people registrars" not in page
    row(staff).user_permissions.add(Permission.objects.get(codename=PERMISSIONS[permission]))
    page = client.get(PEOPLE).content.decode()
    assert ("Block the selected people" in page) == (permission == "authentication.block_user")
    assert ("Make the selected people registrars" in page) == (permission == "authentication.grant_roles")
    action = "block" if permission == "authentication.block_user" else "make_registrar"
    answer = client.post(PEOPLE, {"action": action, "_selected_action": [str(person.id)]}, follow=True)
    assert "Your role does not allow this." in answer.content.decode(), "the service's own rule, in words"
    assert (row(person).is_active, row(person).roles) == (True, ["seller", "buyer"])


def test_what_a_service_refuses_is_a_message_and_the_rest_is_done(here: World):
    person, other = here.administrator(), here.person()
    with only_administrators(person):
        client = signed_in(person)
        chosen = {"_selected_action": [str(person.id), str(other.id)]}
        answer = client.post(PEOPLE, {"action": "unmake_administrator", **chosen}, follow=True).content.decode()
        assert "This is the last administrator" in answer
        assert "Changed: 1" in answer
        answer = client.post(PEOPLE, {"action": "make_administrator", **chosen}, follow=True)
        assert "Changed: 2" in answer.content.decode()
        answer = client.post(PEOPLE, {"action": "block", **chosen}, follow=True)
        assert (row(person).is_active, row(other).is_active) == (True, False), "nobody blocks himself"


def test_over_rest_the_role_is_given_and_taken(here: World):
    from tests.journeys.people import Person

    chief, person = Person(), Person()
    User.objects.filter(id=chief.user["id"]).update(roles=["administrator"], is_superuser=True, is_staff=True)
    chief.log_in(chief.email, chief.password)
    given = chief.patch(f"users/{person.user['id']}", {"roles": ["seller", "administrator"]})
    assert given["roles"] == ["seller", "administrator"]
    assert User.objects.get(id=person.user["id"]).is_superuser


def revoked_at(user: User, before: timedelta) -> None:
    User.objects.filter(id=user.id).update(token_version=1, tokens_revoked_at=timezone.now() - before)


def test_revocations_are_listed_as_long_as_a_token_may_be_good(here: World):
    person = row(here.person())
    for seconds, is_listed in ((0, True), (355, True), (365, False)):
        revoked_at(person, timedelta(seconds=seconds))
        listed = {item.user_id for item in call(AUTHENTICATION).revoked_tokens(ctx=here.ctx())}
        assert (person.id in listed) is is_listed, seconds


def test_a_long_list_of_revocations_is_read_once_and_then_what_is_new(here: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "REVOKED_AT_A_TIME", 10)
    monkeypatch.setattr(roles, "REVOKED_AT_A_TIME", 10)
    pages = []
    monkeypatch.setattr(roles, "call", lambda key: pages.append(1) or call(key))
    User.objects.exclude(tokens_revoked_at=None).update(tokens_revoked_at=None)
    people, late = [row(here.person()) for _ in range(25)], row(here.person())
    User.objects.filter(id__in=[person.id for person in people]).update(
        token_version=2, tokens_revoked_at=timezone.now() - timedelta(minutes=2)
    )
    read = roles.Revoked()
    assert read() == {person.id: 2 for person in people}
    assert len(pages) == 3
    revoked_at(people[0], timedelta(seconds=5))
    revoked_at(late, timedelta(0))
    assert read()[late.id] == 1
    assert read()[people[0].id] == 2, "a higher one stays"
    revoked_at(people[1], timedelta(seconds=10))
    User.objects.filter(id=people[1].id).update(token_version=3)
    pages.clear()
    assert read()[people[1].id] == 3, "one whose transaction ended late"
    assert len(pages) == 1, "and no more than what is new"


@pytest.mark.parametrize("taken", ["role", "block", "password"])
def test_an_access_token_ends_within_a_second_with_what_it_was_given_for(here: World, taken: str):
    from landcontracts.demo.client import Refused
    from tests.journeys.people import Person

    chief = Person()
    call(AUTHENTICATION).set_roles(
        ctx=here.ctx(), user_id=UUID(chief.user["id"]), roles=(Role.SELLER, Role.ADMINISTRATOR)
    )
    chief.log_in(chief.email, chief.password)
    assert chief.get("users/me")["roles"] == ["seller", "administrator"]
    user = User.objects.get(id=chief.user["id"])
    if taken == "role":
        call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=user.id, roles=(Role.SELLER,))
    elif taken == "block":
        call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=user.id, is_active=False)
    else:
        user.set_password("new-horse-battery")
        user.save()
    ended_at = time.monotonic()
    with pytest.raises(Refused) as refusal:
        while time.monotonic() < ended_at + 2:
            chief.get("users/me")
    assert time.monotonic() - ended_at < 1.5
    assert refusal.value.problem["code"] == "authentication_failed"
    with pytest.raises(Refused):
        chief.patch(f"users/{user.id}", {"roles": ["administrator"]})
    if taken == "block":
        return
    chief.log_in(chief.email, "new-horse-battery" if taken == "password" else chief.password)
    assert chief.get("users/me")["email"] == chief.email, "a token issued after it is good at once"


@pytest.mark.parametrize("way", ["orm", "sql", "command", "update"])
def test_a_new_password_by_any_way_ends_tokens_and_other_sessions(here: World, way: str):
    person = here.person()
    tokens = call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=PASSWORD)
    browser = signed_in(person)
    profile = reverse("portal:profile")
    assert browser.get(profile).status_code == 200
    if way == "orm":
        user = row(person)
        user.set_password("new-horse-battery")
        user.save()
    elif way == "sql":
        with connections[database_of("authentication")].cursor() as cursor:
            cursor.execute(
                "UPDATE authentication_user SET password = %s WHERE id = %s", [make_password("x"), person.id]
            )
    elif way == "update":
        User.objects.filter(id=person.id).update(password=make_password("new-horse-battery"))
    else:
        ensure(person.email, "--set-password", password="new-horse-battery")
    answer = call(AUTHENTICATION).refresh(ctx=here.ctx(), refresh_token=tokens.refresh_token)
    assert answer == Refused(reason=Refusal.TOKEN_INVALID)
    assert not RefreshToken.objects.filter(user_id=person.id, revoked_at=None).exists()
    assert browser.get(profile).status_code == 302


def test_another_change_of_the_account_ends_nothing(here: World):
    person = here.person()
    tokens = call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=PASSWORD)
    user = row(person)
    user.full_name = "Другое Имя"
    user.save()
    assert isinstance(call(AUTHENTICATION).refresh(ctx=here.ctx(), refresh_token=tokens.refresh_token), TokenPair)


NFC, NFD = (unicodedata.normalize(form, "пароль-йёж-2026") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("registered", "typed"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_the_same_letters_are_the_same_password(here: World, registered: str, typed: str):
    email = f"{secrets.token_hex(6)}@test.example"
    call(AUTHENTICATION).register(ctx=here.ctx(), email=email, password=registered, full_name="Тест")
    assert isinstance(call(AUTHENTICATION).sign_in(ctx=here.ctx(), email=email, password=typed), SignedIn)


@pytest.mark.parametrize("by", ["log_in", "sign_in"])
@pytest.mark.parametrize(("old", "typed"), [(NFD, NFD), (NFD, NFC), (NFC, NFD), ("ﬁne-password-1", "ﬁne-password-1")])
def test_an_old_hash_of_the_form_as_typed_is_renewed_and_ends_nothing(here: World, by: str, old: str, typed: str):
    person = here.person()
    tokens = call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=PASSWORD)
    before = make_password(old)
    with connections[database_of("authentication")].cursor() as cursor:
        cursor.execute("SET landcontracts.same_password = 'on'")  # as an earlier release left it
        cursor.execute("UPDATE authentication_user SET password = %s WHERE id = %s", [before, person.id])
        cursor.execute("RESET landcontracts.same_password")
    browser = signed_in(person, typed)
    answer = getattr(call(AUTHENTICATION), by)(ctx=here.ctx(), email=person.email, password=typed)
    assert not isinstance(answer, Refused)
    renewed = row(person)
    assert renewed.check_password(unicodedata.normalize("NFC", typed))
    assert browser.get(reverse("portal:profile")).status_code == 200
    assert isinstance(call(AUTHENTICATION).refresh(ctx=here.ctx(), refresh_token=tokens.refresh_token), TokenPair)
    unchanged = renewed.password
    call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=typed)
    assert row(person).password == unchanged


def test_a_hash_at_another_cost_is_renewed(here: World, monkeypatch: pytest.MonkeyPatch):
    person = here.person()
    monkeypatch.setattr(settings, "ARGON2_TIME_COST", settings.ARGON2_TIME_COST + 1)
    before = row(person).password
    assert isinstance(call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=PASSWORD), TokenPair)
    assert row(person).password != before
    assert call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password="wrong-horse") == Refused(
        reason=Refusal.BAD_CREDENTIALS
    )


def test_a_name_has_one_form(here: World):
    name = unicodedata.normalize("NFD", "Андрей Ёлкин")
    person = here.person(name=name)
    assert person.full_name == "Андрей Ёлкин"
    changed = call(AUTHENTICATION).update_profile(ctx=here.ctx(person), full_name=f" {name} ")
    assert changed.full_name == "Андрей Ёлкин"


def test_roles_of_nobody(here: World):
    with pytest.raises(UserNotFound):
        call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=here.ctx().actor.person, roles=())


FLAGS = importlib.import_module("apps.authentication.migrations.0003_rights").FLAGS
COLUMNS = "name, roles, is_staff, is_superuser, is_active"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            [("both", "{administrator}", True, True, True), ("flags", "{seller}", True, True, True)],
            [("both", ["administrator"], True, True, True), ("flags", ["seller"], False, False, True)],
        ),
        (
            [("role", "{buyer,administrator}", False, False, True), ("staff", "{}", True, False, True)],
            [("role", ["buyer", "administrator"], True, True, True), ("staff", [], True, False, True)],
        ),
        (  # nobody active has the role: who could do everything goes on
            [("flags", "{}", True, True, True), ("blocked", "{administrator}", True, True, False)],
            [("blocked", ["administrator"], True, True, False), ("flags", ["administrator"], True, True, True)],
        ),
    ],
)
def test_accounts_of_an_earlier_release_get_one_truth(before: list, after: list):
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE authentication_user"
            " (name text, roles varchar[], is_staff bool, is_superuser bool, is_active bool)"
        )
        try:
            for row in before:
                cursor.execute(f"INSERT INTO authentication_user ({COLUMNS}) VALUES (%s, %s, %s, %s, %s)", row)
            cursor.execute(FLAGS)
            cursor.execute(f"SELECT {COLUMNS} FROM authentication_user ORDER BY name")
            assert cursor.fetchall() == after
        finally:
            cursor.execute("DROP TABLE pg_temp.authentication_user")

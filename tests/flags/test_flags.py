"""Flags: sticky shares, absolute switches, no queries, quickly known everywhere, and a record of who changed them."""

import itertools
import random
import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from waffle import flag_is_active

from apps.authentication.models import User
from apps.core.flags import history, routes, snapshot
from apps.core.flags.models import Flag, FlagChange
from apps.core.flags.snapshot import FlagState, bucket
from apps.core.interface.context import SYSTEM, Actor, new_context
from apps.core.rest.feature_flag import feature_flag
from apps.extraction.routing import shares as flag_shares
from tests.world import World

PEOPLE = [str(uuid.UUID(int=random.Random(7).getrandbits(128) ^ number)) for number in range(20_000)]


def share(percent: float, **settings: object) -> set[str]:
    state = FlagState(settings.get("everyone"), percent, frozenset(settings.get("actors", ())))
    return {person for person in PEOPLE if state.covers("documents_remote", person)}


@pytest.mark.parametrize("percent", [0.1, 1, 5, 12.5, 25, 50, 75, 99, 99.9])
def test_a_share_is_as_large_as_it_says(percent):
    p, n = percent / 100, len(PEOPLE)
    assert abs(len(share(percent)) - n * p) <= 3 * (n * p * (1 - p)) ** 0.5


def test_raising_a_share_moves_no_person_back():
    shares = [share(percent) for percent in (0, 0.5, 1, 5, 25, 50, 99.99, 100)]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(shares))
    assert (len(shares[0]), len(shares[-1])) == (0, len(PEOPLE))


def test_shares_of_two_flags_are_independent():
    both = sum(
        bucket("documents_remote", person) < 500 and bucket("contracts_remote", person) < 500 for person in PEOPLE
    )
    expected = len(PEOPLE) * 0.05**2
    assert abs(both - expected) <= 4 * expected**0.5


def test_off_for_everyone_is_absolute_and_so_is_on():
    assert share(100, everyone=False, actors=PEOPLE[:5]) == set()
    assert share(0, everyone=True) == set(PEOPLE)


def test_a_listed_person_is_in_at_any_share():
    assert share(0, actors=PEOPLE[:3]) == set(PEOPLE[:3])


def test_strangers_are_out_until_the_flag_is_on_for_all():
    assert not FlagState(None, 99.99, frozenset()).covers("x", "")
    assert FlagState(None, 100, frozenset()).covers("x", "")


@pytest.fixture
def flag():
    created = Flag.objects.create(name=f"test_{uuid.uuid4().hex[:8]}")
    yield created
    created.delete()
    snapshot.forget()


def turned(flag: Flag, **changes: object) -> None:
    for name, value in changes.items():
        setattr(flag, name, value)
    flag.save()
    snapshot.forget()
    snapshot.current()


def queries(function) -> int:
    statements = []

    def count(execute, *arguments):
        statements.append(arguments[0])
        return execute(*arguments)

    with connection.execute_wrapper(count):
        function()
    return len(statements)


def test_a_warm_check_asks_no_database(flag: Flag, settings):
    settings.SEAM_AWAY = {"documents": "http://127.0.0.1:1"}
    turned(flag, percent=50)
    assert queries(lambda: [routes.decide(person) for person in PEOPLE[:2_000]]) == 0
    assert queries(lambda: [snapshot.is_on(flag.name, person) for person in PEOPLE[:2_000]]) == 0


def test_waffles_own_check_gives_the_same_answer(flag: Flag):
    person = User(id=uuid.uuid4(), is_superuser=True, is_staff=True)
    request = RequestFactory().get("/")
    request.user = person
    assert not flag_is_active(request, flag.name)  # a superuser is no exception
    turned(flag, actors=[person.id])
    assert flag_is_active(request, flag.name)
    turned(flag, everyone=False)
    assert not flag_is_active(request, flag.name)


def test_a_person_is_on_the_same_side_over_the_web_in_a_task_and_in_a_command(settings, here: World):
    settings.SEAM_AWAY = {"documents": "http://127.0.0.1:1"}
    flag_shares.set_share("documents", "remote", Decimal(50))
    try:
        snapshot.forget()
        from apps.core.rest import edge

        for person in PEOPLE[:50]:
            request = RequestFactory().get("/")
            user = type("Bearer", (), {"actor": Actor(id=uuid.UUID(person)), "is_authenticated": True})()
            sides = {edge.context(request, user).away, routes.system_context(person).away, routes.decide(person).away}
            assert len(sides) == 1
        assert 5 < sum(bool(routes.decide(person).away) for person in PEOPLE[:50]) < 45
    finally:
        flag_shares.set_share("documents", "remote", Decimal(0))
        snapshot.forget()


def test_the_last_known_flags_are_kept_when_the_store_is_unreachable(flag: Flag):
    turned(flag, everyone=True)

    def unreachable(*_):
        raise OperationalError("gone")

    snapshot.forget()
    with connection.execute_wrapper(unreachable):
        assert snapshot.is_on(flag.name, "a person")


# --- An old implementation beside a new one ------------------------------------------------------------------------------


def test_a_flag_keeps_a_legacy_view_beside_the_new_one(flag: Flag):
    chosen = uuid.uuid4()

    def legacy(request):
        return "legacy"

    @feature_flag(flag.name, otherwise=legacy)
    def view(request):
        return "new"

    def ask(user) -> str:
        request = RequestFactory().get("/")
        request.user = user
        return view(request)

    person = User(id=chosen)
    assert ask(person) == "legacy"
    turned(flag, actors=[chosen])
    assert (ask(person), ask(User(id=uuid.uuid4())), ask(AnonymousUser())) == ("new", "legacy", "legacy")
    turned(flag, everyone=True)
    assert ask(AnonymousUser()) == "new"
    turned(flag, everyone=False)
    assert ask(person) == "legacy"


def test_a_flag_chooses_for_methods_and_for_functions_with_a_context(flag: Flag):
    chosen = uuid.uuid4()
    turned(flag, actors=[chosen])

    class View:
        def old(self, request, number):
            return "legacy", number

        @feature_flag(flag.name, otherwise=old)
        def get(self, request, number):
            return "new", number

    def old_total(*, ctx):
        return "legacy"

    @feature_flag(flag.name, otherwise=old_total)
    def total(*, ctx):
        return "new"

    request = RequestFactory().get("/")
    request.user = User(id=chosen)
    assert View().get(request, number=7) == ("new", 7)
    assert total(ctx=new_context(actor=Actor(id=chosen))) == "new"
    assert total(ctx=new_context(actor=SYSTEM)) == "legacy"
    with pytest.raises(TypeError, match="request or a ctx"):
        feature_flag(flag.name, otherwise=print)(print)("neither")


# --- Who turned it --------------------------------------------------------------------------------------------------------


def test_a_change_by_sql_is_recorded_too(flag: Flag):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_flag SET percent = 12.5 WHERE id = %s", [flag.id])
    latest = history.of_flag(flag.name)[0]
    assert (latest.who, latest.words.split(": ")[1]) == ("", "0 % → 12.5 %")


def test_actions_record_who_where_and_why():
    with flag_shares.initiated_by("olga", where="manage.py extraction", reason="first step"):
        flag_shares.set_share("documents", "shadow", Decimal(30))
        flag_shares.switch_off("documents", "shadow")
    switched, shared, *_ = history.of_flag("documents_shadow")
    assert (shared.who, shared.where, shared.reason) == ("olga", "manage.py extraction", "first step")
    assert shared.words.endswith("→ 30 %")
    assert ": — → " in switched.words
    flag_shares.set_share("documents", "shadow", Decimal(0))


def test_a_deleted_flag_leaves_its_history():
    created = Flag.objects.create(name=f"gone_{uuid.uuid4().hex[:8]}")
    name = created.name
    created.delete()
    assert [change.kind for change in history.of_flag(name)] == ["delete", "insert"]
    assert FlagChange.objects.filter(name=name).count() == 2


@pytest.fixture
def administrator(here: World):
    person = here.person()
    User.objects.filter(id=person.id).update(is_staff=True, is_superuser=True, roles=["administrator"])
    client = Client()
    client.force_login(User.objects.get(id=person.id), backend="apps.authentication.backends.SeamBackend")
    return client, person


def test_an_administrator_toggles_a_flag_and_sees_who_did_it_before(administrator, flag: Flag):
    client, person = administrator
    url = f"/admin/core/flag/{flag.id}/change/"
    saved = client.post(url, {"everyone": "unknown", "percent": "5", "actors": "", "note": "canary"})
    assert saved.status_code == 302, re.findall(r"errorlist[^>]*>(.*?)</ul>", saved.content.decode(), re.DOTALL)
    page = client.get(url).content.decode()
    assert "0 % → 5 %" in page
    assert person.email in page
    flag.refresh_from_db()
    assert flag.percent == 5


@pytest.mark.parametrize("percent", ["-1", "100.01", "many"])
def test_a_share_that_is_none_is_refused(administrator, flag: Flag, percent: str):
    client, _ = administrator
    answer = client.post(
        f"/admin/core/flag/{flag.id}/change/", {"everyone": "unknown", "percent": percent, "actors": ""}
    )
    assert answer.status_code == 200
    flag.refresh_from_db()
    assert flag.percent == 0


def test_a_snapshot_is_old_soon_enough_for_a_second():
    assert snapshot.MAX_AGE_NS <= 500_000_000

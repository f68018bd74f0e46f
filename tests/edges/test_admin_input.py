"""What the admin is sent and cannot read: 400 with a reason, on every list, and never a failure."""

import html
import re
import secrets
from itertools import cycle

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.authentication.models import User
from tests.world import PASSWORD, World

admin.autodiscover()
LISTS = {
    f"{model._meta.app_label}.{model._meta.model_name}": (model, registered)
    for model, registered in admin.site._registry.items()
}


@pytest.fixture(scope="module")
def chief() -> Client:
    client = Client(headers={"accept-language": "en"}, raise_request_exception=False)
    email = f"{secrets.token_hex(6)}@admin.example"
    client.force_login(User.objects.create_superuser(email, PASSWORD, full_name="Админ"))
    return client


def address(name: str) -> str:
    return reverse(f"admin:{name.replace('.', '_')}_changelist")


LOOKUPS = ("exact", "gte", "in", "isnull", "isempty", "contains", "year", "regex", "foo")
ODD = ("a\0b", "foo", "", "9" * 400, "💥")


@pytest.mark.parametrize("name", sorted(LISTS))
def test_an_odd_value_in_a_filter_or_a_search(chief: Client, name: str):
    filters = [item if isinstance(item, str) else item[0] for item in LISTS[name][1].list_filter if not callable(item)]
    other = next(field.name for field in LISTS[name][0]._meta.fields if field.name not in filters)
    asked = [(other, "foo"), (f"{other}__gte", "1")]
    asked += [(field, value) for field in ("q", "p", "o", "e", *filters[:1]) for value in ODD]
    asked += [(f"{field}__{lookup}", value) for field in filters for lookup, value in zip(LOOKUPS, cycle(ODD))]
    asked += [
        (f"{field}__{lookup}", value) for field in filters for lookup, value in (("year", "9" * 400), ("regex", "("))
    ]
    for field, value in asked:
        status = chief.get(address(name), {field: value}).status_code
        assert status in ({400} if "\0" in value else {200, 302, 400}), (field, value)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_an_odd_id_in_an_action(chief: Client, name: str):
    request = chief.get(address(name)).wsgi_request
    for action in LISTS[name][1].get_actions(request):
        for chosen in (*ODD, "00000000-0000-0000-0000-000000000000"):
            answer = chief.post(address(name), {"action": action, "_selected_action": [chosen]})
            assert answer.status_code in {200, 302, 400}, (action, chosen)


def test_nothing_is_done_where_one_id_is_none(chief: Client, here: World):
    person = here.person()
    page = address("authentication.user")
    answer = chief.post(page, {"action": "block", "_selected_action": [str(person.id), "foo"]})
    assert answer.status_code == 400
    assert User.objects.get(id=person.id).is_active


def test_the_filters_that_are_shown_can_be_used(chief: Client):
    for name, (_, registered) in LISTS.items():
        page = chief.get(address(name))
        shown = set(re.findall(r'href="(\?[^"]*)"', page.content.decode()))
        assert shown or not registered.list_filter, name
        for query in sorted(shown)[:40]:
            assert chief.get(address(name) + html.unescape(query)).status_code == 200, (name, query)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_an_odd_id_of_one_record(chief: Client, name: str):
    for odd in ("foo", "%00", "9" * 400, "../..", "_2E"):
        for page in ("change", "history", "delete"):
            answer = chief.get(f"{address(name)}{odd}/{page}/")
            assert answer.status_code in {302, 400, 403, 404}, (odd, page)

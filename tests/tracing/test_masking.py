"""No personal data and no secret survives masking, at any place."""

from __future__ import annotations

import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.observability.masking import MAX_TEXT, is_sensitive, masked, masked_text
from landcontracts.logs import mask

around = st.text(max_size=30)
plain = st.text(st.characters(codec="utf-8"), max_size=20)


def nested(leaf):
    """A leaf somewhere in lists, tuples and dictionaries."""
    return st.recursive(
        leaf, lambda inner: st.one_of(st.lists(inner, min_size=1, max_size=3), st.dictionaries(plain, inner, min_size=1)),
        max_leaves=5,
    )  # fmt: skip


@given(st.emails(), around, around)
def test_no_address_survives_in_any_text(address: str, before: str, behind: str):
    assert address not in masked_text(f"{before} {address} {behind}")
    assert address not in masked_text(f"{before} <{address}>{behind}")
    assert address not in masked_text(f"mailto:{address}?{behind}")


@given(st.emails().flatmap(lambda address: st.tuples(st.just(address), nested(st.just(f"to {address}!")))))
def test_no_address_survives_in_any_structure(planted):
    address, value = planted
    assert address not in str(masked(value))
    assert address not in str(masked({address: 1}))
    assert address not in str(masked({"x": address.encode()}))


@given(nested(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())))
def test_every_value_is_masked_without_an_error_and_only_once(value):
    once = masked(value)
    assert masked(once) == once or "nan" in str(once)


@given(st.text(string.digits, min_size=10, max_size=10), st.sampled_from(["+7{}", "8{}", "8 ({0:.3}) {1}"]))
def test_no_telephone_number_survives(digits: str, form: str):
    text = form.format(digits, digits[3:]) if "{1}" in form else form.format(digits)
    assert digits[3:] not in masked_text(f"тел. {text}, звонить")


@pytest.mark.parametrize(
    "text",
    [
        "ivan@почта.рф",
        '"Иван Петров"@example.com',
        "o'brien+land@sub.example.org",
        "login=anna%40test.example",
        "+7 916 123-45-67",
        "+44 20 7946 0958",
        "8 (916) 123-45-67",
        "паспорт 4509 123456",
        "паспорт 45 09 № 123456",
        "ИНН 7707083893",
        "ИНН 500100732259",
        "СНИЛС 112-233-445 95",
        "Authorization: Bearer abc.def",
        "bearer AbCdEf0123",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Cookie: sessionid=abc; csrftoken=def",
        "'Set-Cookie': 'sessionid=abc'",
        "password='correct horse'",
        '{"password": "a \\"quoted\\" one"}',
        "refresh_token=abcdef",
        "https://s3/b/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=deadbeef&X-Amz-Expires=1",
        "postgres://lc_app:hunter2@db:5432/x",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
    ],
)
def test_no_secret_or_personal_text_survives(text: str):
    text_after = masked_text(f"before {text} behind")
    secrets = re.findall(
        r"ivan|Петров|brien|anna|xxx|916|7946|123456|7707083893|500100732259|112-233|abc|AbC|eyJ|horse|quoted|"
        r"deadbeef|hunter2|MIIEvQ|AK%2F1",
        text,
    )
    assert secrets
    assert [secret for secret in secrets if secret in text_after] == []


@pytest.mark.parametrize(
    "text",
    [
        "01a20618-725f-7cd2-8bc1-832d56537ffa",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "2026-11-23T01:49:54.621929+03:00",
        "LC-2026-000001",
        "127.0.0.1:54321",
        "/api/v1/documents/<uuid:document_id>",
        "no connection: [Errno 111] Connection refused",
        'relation "contracts_command" does not exist\nLINE 1: SELECT 1',
        "contracts.contract_created #12 -> workflow",
    ],
)
def test_text_without_personal_data_stays_readable(text: str):
    assert masked_text(text) == text


@pytest.mark.parametrize(
    "name", ["password", "new_password", "Authorization", "X-Api-Key", "email", "full_name", "inn"]
)
def test_a_field_of_a_sensitive_name_is_masked_with_any_content(name: str):
    assert is_sensitive(name)
    assert masked({"deep": [{name: "Анна"}]}) == {"deep": [{name: "[masked]"}]}
    assert mask(None, "", {name: "Анна"}) == {name: "[masked]"}


def test_ids_of_a_request_stay_as_they_are():
    line = {"request_id": "89161234567", "trace_id": "1" * 32, "event": "x 89161234567"}
    assert mask(None, "", dict(line)) == line | {"event": "x [phone]"}


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("anna@test.example")


def test_a_value_without_a_representation_does_not_break_the_line():
    assert masked({"x": Broken()}) == {"x": "<Broken: RuntimeError>"}
    deep: list = []
    deep.append(deep)
    assert "[deep]" in str(masked(deep))


def test_a_huge_or_hostile_text_costs_milliseconds():
    hostile = ["a" * MAX_TEXT + "@", "1 " * MAX_TEXT, '"' * MAX_TEXT + "@", "token=" * MAX_TEXT, "+1" * MAX_TEXT, "a-" * MAX_TEXT + "="]  # fmt: skip
    started = time.perf_counter()
    for text in hostile:
        assert len(masked_text(text)) <= 2 * MAX_TEXT
    assert time.perf_counter() - started < 1


def test_a_long_word_of_hyphens_takes_no_longer_than_its_length():
    started = time.perf_counter()
    masked_text(f"Invalid HTTP_HOST header: '{'a-' * 16_000}'")
    assert time.perf_counter() - started < 2  # a quadratic pattern took half a minute

"""The expectations that follow from a consumer's types, one kind of field after the other."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid4

import msgspec

from apps.core.interface.dto import Dto, Instant
from tests.pacts.examples import NOON, Names, of_name
from tests.pacts.shapes import NULL, TYPE, Shape


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark-blue"


class Inner(Dto):
    words: str


class Outer(Dto):
    id: UUID
    owner: UUID | None
    price: Decimal
    colour: Colour
    at: Instant
    due: date | None
    note: str | None
    count: int
    inner: tuple[Inner, ...]


SALE = uuid4()
NAMES = Names({"sale_id": str(SALE), "number": "LC-2031-123456"}, {"sale_id"})


def shape(**changes: object) -> tuple[dict, dict]:
    expectations = Shape(NAMES)
    value = Outer(
        id=SALE, owner=None, price=Decimal("1.50"), colour=Colour.RED, at=msgspec.json.decode(f'"{NOON}"', type=Instant),
        due=None, note=None, count=3, inner=(), **changes,
    )  # fmt: skip
    return expectations.of(Outer, msgspec.to_builtins(value)), expectations.rules


def test_every_field_is_expected_with_an_example_of_no_run():
    body, _ = shape()
    assert body == {
        "id": of_name("sale_id"), "owner": None, "price": "1.50", "colour": "red", "at": NOON, "due": None, "note": "",
        "count": 3, "inner": [{"words": ""}],
    }  # fmt: skip


def test_a_field_has_the_rule_of_its_type():
    _, rules = shape()
    assert rules["$.count"] == {"combine": "AND", "matchers": [{"match": "integer"}]}
    assert rules["$.colour"]["matchers"] == [TYPE, {"match": "regex", "regex": "^(red|dark-blue)$"}]
    assert rules["$.note"] == {"combine": "OR", "matchers": [NULL, TYPE]}
    assert rules["$.owner"]["combine"] == "OR"
    assert rules["$.price"]["matchers"][0] == TYPE  # a pattern alone would take a number for a text
    assert rules["$.inner"]["matchers"] == [TYPE]  # an empty list fits as well
    assert set(rules) == {f"$.{name}" for name in Outer.__struct_fields__} | {"$.inner[*].words"}


def test_a_list_that_has_items_is_expected_to_have_some():
    expectations = Shape(NAMES)
    assert expectations.of(tuple[Inner, ...], [{"words": "of LC-2031-123456"}]) == [
        {"words": f"of {of_name('number')}"}
    ]
    assert expectations.rules["$"]["matchers"] == [{**TYPE, "min": 1}]


def test_an_empty_answer_is_expected_to_be_empty():
    expectations = Shape(NAMES)
    assert expectations.of(tuple[Inner, ...], []) == []
    assert expectations.rules == {}

"""The start-up checks detect their faults: a shape that cannot cross, an implementation that differs, a lossy error."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec
import pytest
from django.core.checks import run_checks
from hypothesis import given
from hypothesis import strategies as st

from apps.core import topology
from apps.core.interface import errors
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant, shape_faults
from apps.core.interface.errors import Category, DomainError, fields_type, known_errors
from apps.core.interface.operations import ServiceKey, command, query
from apps.core.seam.verify import system_checks


def test_this_tree_passes():
    assert [message for message in run_checks() if message.id.startswith("seam")] == []


class Mutable(msgspec.Struct):
    value: int


class Fine(Dto):
    id: UUID
    at: Instant
    amounts: tuple[Decimal, ...]
    nested: tuple[tuple[int, str], ...] = ()


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        (list[int], "list"),
        (dict[str, int], "dict"),
        (set[int], "set"),
        (Any, "any"),
        (object, "untyped"),
        (Mutable, "Mutable is mutable"),
        (tuple[Mutable, ...], "Mutable is mutable"),
        (datetime, "without a zone"),
        (bytes, "unbounded"),
        (float, "float"),
        (msgspec.Raw, "raw"),
    ],
)
def test_a_shape_that_must_not_cross_is_named(annotation: Any, word: str):
    class Bad(Dto):
        field: annotation

    faults = list(shape_faults(Bad, "here"))
    assert faults, annotation
    assert word in " ".join(faults)


def test_a_good_shape_has_no_faults():
    assert list(shape_faults(Fine, "here")) == []
    assert list(shape_faults(tuple[Fine, ...] | None, "here")) == []


class PlantedService(Protocol):
    @query
    def ask(self, *, ctx: CallContext, number: int = 1) -> int: ...

    @command
    def act(self, *, ctx: CallContext, text: str) -> None: ...


PLANTED = ServiceKey("planted", PlantedService)


class Good:
    def ask(self, *, ctx: CallContext, number: int = 1) -> int:
        return number

    def act(self, *, ctx: CallContext, text: str) -> None: ...


class OtherDefault(Good):
    def ask(self, *, ctx: CallContext, number: int = 2) -> int:
        return number


class OtherType(Good):
    def ask(self, *, ctx: CallContext, number: str = 1) -> int:
        return 1


class OtherName(Good):
    def act(self, *, ctx: CallContext, words: str) -> None: ...


class Positional(Good):
    def act(self, ctx: CallContext, text: str) -> None: ...


class Lacking:
    def ask(self, *, ctx: CallContext, number: int = 1) -> int:
        return number


class Inheriting(PlantedService):
    pass


@pytest.mark.parametrize("cls", [OtherDefault, OtherType, OtherName, Positional, Lacking, Inheriting])
def test_an_implementation_that_differs_is_seen(monkeypatch: pytest.MonkeyPatch, cls: type):
    monkeypatch.setattr(topology, "key_of", lambda _: PLANTED)
    assert list(system_checks.implementation_faults("planted", cls())), cls
    assert list(system_checks.implementation_faults("planted", Good())) == []


class Untyped(Protocol):
    @query
    def ask(self, *, ctx: CallContext, anything) -> dict: ...

    @query
    def no_context(self, *, number: int) -> int: ...

    @query
    def positional(self, ctx: CallContext, number: int) -> int: ...


def test_an_interface_that_cannot_be_called_over_a_wire_is_seen():
    faults = " ".join(system_checks.interface_faults(ServiceKey("untyped", Untyped)))
    for word in ("ask(anything)", "ask ->", "no_context: the first argument", "positional: number is not keyword-only"):
        assert word in faults


@pytest.mark.parametrize("code", sorted(known_errors()))
def test_every_refusal_survives_the_wire(code: str):
    cls = known_errors()[code]
    values = {field.name: _sample(field.type) for field in msgspec.structs.fields(fields_type(cls))}
    error = cls(**values)
    back = errors.from_wire(errors.to_wire(error))
    assert type(back) is cls
    assert back.fields == error.fields
    assert str(back) == str(error)
    assert {name: getattr(back, name) for name in values} == values


def _sample(annotation: Any) -> Any:
    for candidate in (uuid4(), 7, "text", ("a", "b"), (), Decimal("1.5"), True):
        try:
            return msgspec.convert(msgspec.to_builtins(candidate), annotation)
        except msgspec.ValidationError:
            continue
    return next(iter(annotation))


def test_a_refusal_that_would_lose_something_is_seen():
    class Lossy(DomainError, code="planted_lossy", category=Category.INVALID):
        message = "Lost {nowhere}"
        rows: list[dict]

    try:
        faults = " ".join(system_checks.error_faults(Lossy))
        assert "rows" in faults
        assert "nowhere" in faults
    finally:
        errors._by_code.pop("planted_lossy")


def test_a_code_belongs_to_one_refusal():
    with pytest.raises(TypeError):

        class Impostor(DomainError, code="contract_not_found"):
            pass


def test_an_unknown_code_keeps_its_category():
    wire = msgspec.json.encode({"code": "from_the_future", "category": "conflict", "fields": {"a": 1}})
    back = errors.from_wire(wire)
    assert (back.code, back.category) == ("from_the_future", Category.CONFLICT)


@given(st.text(), st.decimals(allow_nan=False, allow_infinity=False), st.datetimes(timezones=st.just(None)))
def test_any_value_comes_back_as_it_went(text: str, amount: Decimal, at: datetime):
    from datetime import UTC

    class Value(Dto):
        text: str
        amount: Decimal
        at: Instant

    try:
        text.encode()
    except UnicodeEncodeError:
        return
    value = Value(text=text, amount=amount, at=at.replace(tzinfo=UTC))
    assert msgspec.json.decode(msgspec.json.encode(value), type=Value) == value

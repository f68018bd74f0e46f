"""Builds a value that fits a type, to send an operation well-formed arguments without knowing its meaning."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec
from msgspec import inspect

# Tried in turn against a string's pattern and lengths.
TEXTS = (
    "x",
    "word",
    "word word",
    "a@b.example",
    "ru",
    "RUB",
    "a" * 64,
    "1",
    "password-of-nobody",
)


class NoSample(Exception):
    """No fitting value was found."""


def sample(annotation: Any) -> Any:
    """A JSON value that decodes as the type. Raises: NoSample."""
    value = _of(inspect.type_info(annotation))
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=annotation)
    except msgspec.ValidationError as error:
        raise NoSample(str(error)) from None
    return value


def another(annotation: Any, value: Any) -> Any:
    """A value that fits and differs. Raises: NoSample."""
    candidates: list[Any] = [str(uuid.uuid4()), f"{value} ", f"{value}x", *TEXTS]
    if isinstance(value, bool):
        candidates = [not value]
    elif isinstance(value, int):
        candidates = [value + 1, value - 1]
    elif isinstance(value, list):
        candidates = [[], value[:1]]
    for candidate in candidates:
        try:
            converted = msgspec.json.decode(msgspec.json.encode(candidate), type=annotation)
        except msgspec.ValidationError:
            continue
        if msgspec.json.decode(msgspec.json.encode(converted)) != value:
            return candidate
    raise NoSample(repr(value))


def _of(info: inspect.Type) -> Any:
    match info:
        case inspect.Metadata(extra_json_schema={"examples": [example, *_]}):
            return example
        case inspect.Metadata(type=inner):
            return _of(inner)
        case inspect.UUIDType():
            return str(uuid.uuid4())
        case inspect.StrType():
            return _text(info)
        case inspect.IntType(ge=least, gt=above):
            return max(1, least or 0, (above or 0) + 1)
        case inspect.BoolType():
            return True
        case inspect.DecimalType():
            return "1"
        case inspect.BytesType():
            return "eA=="
        case inspect.DateTimeType():
            return "2026-01-01T00:00:00Z"
        case inspect.DateType():
            return "2026-01-01"
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.VarTupleType():
            return []
        case inspect.NoneType():
            return None
        case inspect.UnionType(types=types):
            return None if any(isinstance(member, inspect.NoneType) for member in types) else _of(types[0])
        case inspect.StructType(fields=fields):
            return {field.encode_name: _of(field.type) for field in fields if field.required}
        case inspect.RawType() | inspect.AnyType():
            return {}
    raise NoSample(type(info).__name__)


def _text(info: inspect.StrType) -> str:
    bounds = msgspec.Meta(min_length=info.min_length, max_length=info.max_length, pattern=info.pattern)
    for candidate in TEXTS:
        try:
            return str(msgspec.convert(candidate, Annotated[str, bounds]))
        except msgspec.ValidationError:
            continue
    raise NoSample(f"a text like {info.pattern}")

"""What a consumer needs of an answer, derived from the types that it decodes the answer with.

Every field of a consumer's DTO must be present and of its type, or its codec refuses the whole answer; more fields and other
values do no harm. The matching rules say exactly that. The recorded answer is the example.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import inspect

from tests.pacts.examples import NOON, SOME_DAY, Names

Rules = dict[str, dict[str, Any]]
TYPE = {"match": "type"}
NULL = {"match": "null"}
# The list that is the answer, by itself or as a page.
WHOLE = ("$", "$.items")
PATTERNS: dict[type[inspect.Type], str] = {
    inspect.UUIDType: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    inspect.DateTimeType: r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$",
    inspect.DateType: r"^\d{4}-\d\d-\d\d$",
    inspect.DecimalType: r"^-?\d+(\.\d+)?$",
}
EXAMPLES: dict[type[inspect.Type], Any] = {
    inspect.UUIDType: "00000000-0000-4000-8000-000000000000",
    inspect.DateTimeType: NOON,
    inspect.DateType: SOME_DAY,
    inspect.DecimalType: "1",
    inspect.StrType: "",
    inspect.IntType: 0,
    inspect.BoolType: False,
}


class Shape:
    """The expected body, and by path the rules by which it is compared."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.rules: Rules = {}

    def of(self, annotation: Any, value: Any) -> Any:
        """The expected body of an answer of a type; fills the rules."""
        return self._walk(inspect.type_info(annotation), value, "$", "")

    def _walk(self, info: inspect.Type, value: Any, path: str, field: str) -> Any:
        match info:
            case inspect.Metadata(type=inner):
                return self._walk(inner, value, path, field)
            case inspect.UnionType():
                return self._union(info, value, path, field)
            case inspect.StructType():
                return self._struct(info, value, path)
            case inspect.VarTupleType(item_type=item):
                return self._list(item, value, path, field)
        self._rule(path, *_matchers(info))
        return self._example(info, value, field)

    def _struct(self, info: inspect.StructType, value: dict[str, Any], path: str) -> dict[str, Any]:
        # The tag decides how the rest is read, so it is expected as it is.
        tag = {} if info.tag_field is None else {info.tag_field: info.tag}
        return tag | {
            item.encode_name: self._walk(item.type, value[item.encode_name], f"{path}.{item.encode_name}", item.name)
            for item in info.fields
        }

    def _list(self, item: inspect.Type, value: list[Any], path: str, field: str) -> list[Any]:
        """Any number of items of one form; at least one where the recording has one and the state assures it."""
        if not value and path in WHOLE:
            return []  # an answer that says "nothing for you" is expected to say just that
        assured = {"min": 1} if value and "[*]" not in path else {}
        self._rule(path, {**TYPE, **assured})
        return [self._walk(item, self._names.most_named(value) if value else _example_of(item), f"{path}[*]", field)]

    def _union(self, info: inspect.UnionType, value: Any, path: str, field: str) -> Any:
        options = [item for item in info.types if not isinstance(item, inspect.NoneType)]
        nullable = len(options) < len(info.types)
        chosen = _fitting(options, value)
        if isinstance(chosen, inspect.StructType):
            # Pact has no "an object or null": the state assures what the recording has.
            return None if value is None else self._struct(chosen, value, path)
        matchers = _matchers(chosen)
        if not nullable:
            self._rule(path, *matchers)
        else:
            # Of several alternatives one has to hold. A pattern implies a text here, but a text without one has none.
            self.rules[path] = {"combine": "OR", "matchers": [NULL, matchers[-1]]}
            if value is None and matchers[-1] == TYPE:
                value = _example_of(chosen)  # by type means by the example's type, and null has none
        return None if value is None else self._example(chosen, value, field)

    def _rule(self, path: str, *matchers: dict[str, Any]) -> None:
        self.rules[path] = {"combine": "AND", "matchers": list(matchers)}

    def _example(self, info: inspect.Type, value: Any, field: str) -> Any:
        match info:
            case inspect.UUIDType():
                return self._names.identity(value)
            case inspect.DateTimeType() | inspect.DateType():
                return EXAMPLES[type(info)]
            case inspect.StrType() | inspect.DecimalType():
                return self._names.anonymised(value, field)
        return value


def _matchers(info: inspect.Type) -> list[dict[str, Any]]:
    match info:
        case inspect.EnumType(cls=cls):
            values = "|".join(re.escape(str(member.value)).replace(r"\-", "-") for member in cls)
            return [TYPE, {"match": "regex", "regex": f"^({values})$"}]
        case inspect.IntType():
            return [{"match": "integer"}]  # a fraction is a number, too
    pattern = PATTERNS.get(type(info))
    # A pattern alone would take the number 5 for the text "5".
    return [TYPE] if pattern is None else [TYPE, {"match": "regex", "regex": pattern}]


def _fitting(options: list[inspect.Type], value: Any) -> inspect.Type:
    if len(options) == 1:
        return options[0]
    tagged = (item for item in options if isinstance(item, inspect.StructType))
    return next(item for item in tagged if value[str(item.tag_field)] == item.tag)


def _example_of(info: inspect.Type) -> Any:
    """An example where the recording has none."""
    match info:
        case inspect.StructType(fields=fields, tag_field=tag_field, tag=tag):
            return ({tag_field: tag} if tag_field else {}) | {
                item.encode_name: _example_of(item.type) for item in fields
            }
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.UnionType(types=types):
            return _example_of(types[0])
        case inspect.VarTupleType():
            return []
    return EXAMPLES[type(info)]

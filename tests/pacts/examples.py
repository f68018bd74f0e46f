"""The examples that replace one run's values in a pact: ids, times, addresses, tokens.

Two runs give the same examples, so that a pact changes only when a use does, and contains no personal data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.pacts.recorder import REMAINING_MS, Recording

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
NUMBER = re.compile(r"LC-\d{4}-\d{6,}")
NOON = "2026-01-01T12:00:00Z"
SOME_DAY = "2026-01-31"
# A date that a person typed on purpose stays as it is.
FAR = "2999-01-01"
# The context belongs to one call and to where services run at the time, not to the request.
CONTEXT = {
    "request_id": "pact",
    "trace": "00-00000000000000000000000000000001-0000000000000001-01",
    "remaining_ms": REMAINING_MS,
    "away": [],
}
COMMAND_KEY = "command_key"
NAMED = {
    "password": "an-example-password",
    "number": "LC-2026-000001",
    "cadastral_number": "50:20:0010203:1187",
    "new_cadastral_number": "50:20:0010203:1188",
}
# Values that a provider generates each time and that identify no person, by field.
BY_FIELD = {
    "url": "https://storage.example/a-signed-address",
    "serial_number": "1",
    "fingerprint": "0" * 64,
    "issuer": "CN=Test authority",
}


class NotReplayable(Exception):
    """A request names a value that the state does not provide: a verification could not repeat it."""


def of_name(name: str) -> str:
    """The example of a named value."""
    if name in NAMED:
        return NAMED[name]
    if name.endswith("_email"):
        return f"{name.removesuffix('_email')}@example.org"
    return str(uuid5(NAMESPACE_URL, name))


class Names:
    """The names of those of a sale's values that a state provides."""

    def __init__(self, values: Mapping[str, str], provided: set[str]) -> None:
        self._names = {value: name for name, value in values.items() if name in provided}
        self._all = dict(values)

    def name_of(self, text: str) -> str | None:
        """The name of a value, or None where it has none."""
        return self._names.get(text)

    def anonymised(self, text: str, field: str = "") -> str:
        """An answer's text with this run's values replaced by examples."""
        if field in BY_FIELD:
            return BY_FIELD[field]
        for name, value in self._all.items():
            text = text.replace(value, of_name(name))
        return NUMBER.sub(of_name("number"), text)

    def most_named(self, items: list[Any]) -> Any:
        """The item with the most named values: the same one in every run, in any order of the items."""

        def rank(item: Any) -> tuple[int, list[str]]:
            text = json.dumps(item)
            names = sorted(name for name, value in self._all.items() if value in text)
            return -len(names), names

        return min(items, key=rank)

    def identity(self, text: str) -> str:
        """The example of an id in an answer; all ids without a name share one example."""
        name = next((name for name, value in self._all.items() if value == text), "another_id")
        return of_name(name)


class Request:
    """A recorded request's body with examples, and by path the names of the values that the provider's state fills in."""

    def __init__(self, recording: Recording, names: Names) -> None:
        self._names = names
        self._key = recording.request["context"]["command_key"]
        self.placeholders: dict[str, str] = {}
        context = {**recording.request["context"], **CONTEXT}
        self.body = self._walk({**recording.request, "context": context}, "$")

    def _walk(self, value: Any, path: str) -> Any:
        match value:
            case dict():
                return {name: self._walk(item, f"{path}.{name}") for name, item in value.items()}
            case list():
                return [self._walk(item, f"{path}[{index}]") for index, item in enumerate(self._in_order(value))]
            case str():
                return self._text(value, path)
        return value

    def _text(self, text: str, path: str) -> str:
        name = COMMAND_KEY if text == self._key else self._names.name_of(text)
        if name is not None:
            self.placeholders[path] = name
            return of_name(name)
        if ID.fullmatch(text):
            raise NotReplayable(f"{path} is {text}")
        if INSTANT.fullmatch(text):
            return NOON
        return SOME_DAY if DAY.fullmatch(text) and text != FAR else text

    def _in_order(self, items: list[Any]) -> list[Any]:
        """Ids in the order of their names: a set has no order, and other sales' people do not belong to this pact."""
        named = [item for item in items if isinstance(item, str) and self._names.name_of(item)]
        if not named or not all(isinstance(item, str) and ID.fullmatch(item) for item in items):
            return items
        return sorted(named, key=lambda item: str(self._names.name_of(item)))

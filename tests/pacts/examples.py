"""What stands in a pact for the values of one run: ids, times, addresses, tokens.

Two runs give the same examples, so that a pact changes only when a use does, and nobody's data is in it.
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
# What a context carries is a matter of one call and of where services run just then, and not of what is asked.
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
# What a provider makes afresh each time and names nobody, by the field that it stands in.
BY_FIELD = {
    "url": "https://storage.example/a-signed-address",
    "serial_number": "1",
    "fingerprint": "0" * 64,
    "issuer": "CN=Test authority",
}


class NotReplayable(Exception):
    """A request names something that the state does not give: a later verification could not ask for it."""


def of_name(name: str) -> str:
    """The example of a named value."""
    if name in NAMED:
        return NAMED[name]
    if name.endswith("_email"):
        return f"{name.removesuffix('_email')}@example.org"
    return str(uuid5(NAMESPACE_URL, name))


class Names:
    """The names of one sale's values, as far as a state gives them."""

    def __init__(self, values: Mapping[str, str], given: set[str]) -> None:
        self._names = {value: name for name, value in values.items() if name in given}
        self._all = dict(values)

    def name_of(self, text: str) -> str | None:
        """The name of a value, or None where it has none."""
        return self._names.get(text)

    def retold(self, text: str, field: str = "") -> str:
        """A text of an answer without what belongs to this run."""
        if field in BY_FIELD:
            return BY_FIELD[field]
        for name, value in self._all.items():
            text = text.replace(value, of_name(name))
        return NUMBER.sub(of_name("number"), text)

    def best_known(self, items: list[Any]) -> Any:
        """The item that has the most names in it, the same one in every run, however the items are ordered."""

        def known(item: Any) -> tuple[int, list[str]]:
            text = json.dumps(item)
            names = sorted(name for name, value in self._all.items() if value in text)
            return -len(names), names

        return min(items, key=known)

    def identity(self, text: str) -> str:
        """The example of an id in an answer; one without a name is somebody's, no matter whose."""
        name = next((name for name, value in self._all.items() if value == text), "another_id")
        return of_name(name)


class Request:
    """A recorded request's body with examples, and by path the names that are asked of the provider's state."""

    def __init__(self, recording: Recording, names: Names) -> None:
        self._names = names
        self._key = recording.request["context"]["command_key"]
        self.asked: dict[str, str] = {}
        context = {**recording.request["context"], **CONTEXT}
        self.body = self._walk({**recording.request, "context": context}, "$")

    def _walk(self, value: Any, path: str) -> Any:
        match value:
            case dict():
                return {name: self._walk(item, f"{path}.{name}") for name, item in value.items()}
            case list():
                return [self._walk(item, f"{path}[{place}]") for place, item in enumerate(self._in_order(value))]
            case str():
                return self._text(value, path)
        return value

    def _text(self, text: str, path: str) -> str:
        name = COMMAND_KEY if text == self._key else self._names.name_of(text)
        if name is not None:
            self.asked[path] = name
            return of_name(name)
        if ID.fullmatch(text):
            raise NotReplayable(f"{path} is {text}")
        if INSTANT.fullmatch(text):
            return NOON
        return SOME_DAY if DAY.fullmatch(text) and text != FAR else text

    def _in_order(self, items: list[Any]) -> list[Any]:
        """Ids in the order of their names: a set has no order, and other sales' people are none of this pact's business."""
        known = [item for item in items if isinstance(item, str) and self._names.name_of(item)]
        if not known or not all(isinstance(item, str) and ID.fullmatch(item) for item in items):
            return items
        return sorted(known, key=lambda item: str(self._names.name_of(item)))

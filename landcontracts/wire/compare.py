"""Finds contract changes that break older or newer builds, where builds of two releases run side by side and call each
other.

An older caller writes by the released contract and reads a newer service's answers by it; a newer caller reads an older
service's answers. Answers, refusals and events must therefore keep their types in both directions and may only gain
fields with defaults; arguments may accept more values and may only be added with defaults; the call context is read in
both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from landcontracts.wire import sources
from landcontracts.wire.differences import Difference, Node, differences
from landcontracts.wire.generate import REFUSAL, Document, codes

OLDER, NEWER = "older builds", "newer builds"
# The meaning of a difference, by writer and reader; a kind that is not listed breaks no build.
READ_BY_OLDER = {
    "missing": "{whole} has lost {part}",
    "defaulted": "{whole} has lost {part}",
    "values": "{it} may now be {written}",
    "type": "{it} was {readable} and is {written}",
    "limit": "{it} is no longer kept to {readable}",
}
READ_BY_NEWER = {
    "missing": "{whole} has a new {part} without default",
    "values": "{it} can no longer be {written}",
    "type": "{it} was {written} and is {readable}",
    "limit": "{it} is now limited to {readable}, was {written}",
}
WRITTEN_BY_OLDER = {
    **READ_BY_NEWER,
    "values": "{it} no longer takes {written}",
    "ignored": "{whole} has lost {part}, and what is given for it would be ignored",
    "optional": "{part} has lost its default",
}
NOTHING: Document = {"paths": {}, "x-events": {}, "x-consumes": [], "components": {"schemas": {}}}


class Breach(NamedTuple):
    """A change that may not be released in one step: its place, the change, the broken builds, and their owners."""

    place: str
    what: str
    breaks: str
    whose: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; breaks {self.breaks}; {self.whose}"


class Subject(NamedTuple):
    """The compared object in the words of a message: the whole, the name of its parts, and the apps that use it."""

    place: str
    whole: str
    part: str
    whose: str


def breaches(released: Mapping[str, Document], current: Mapping[str, Document]) -> list[Breach]:
    """Every breach between two releases' documents, by service. A service that was never released has none."""
    known = {name for document in released.values() for name in document["components"]["schemas"]}
    pairs = [_Pair(service, old, current.get(service, NOTHING), known) for service, old in sorted(released.items())]
    return list(dict.fromkeys(breach for pair in pairs for breach in pair.breaches()))


class _Pair:
    """One service's released and current document. `known` are the components that older builds know."""

    def __init__(self, service: str, old: Document, new: Document, known: set[str]) -> None:
        self._service, self._known = service, known
        self._old, self._new = old, new
        self._old_schemas, self._new_schemas = old["components"]["schemas"], new["components"]["schemas"]

    def breaches(self) -> Iterator[Breach]:
        for path, item in sorted(self._old["paths"].items()):
            new = self._new["paths"].get(path)
            place = item["post"]["operationId"]
            if new is not None:
                yield from self._operation(place, item["post"], new["post"])
            elif not item["post"].get("deprecated"):
                yield Breach(place, "the operation is gone", OLDER, _by("called", sources.callers_of(place)))
        yield from self._refusals()
        yield from self._events()

    def _operation(self, place: str, old: Document, new: Document) -> Iterator[Breach]:
        callers = sources.callers_of(place)
        called = Subject(place, "the operation", "argument", _by("called", callers))
        if old["x-kind"] != new["x-kind"]:
            what = f"the operation was a {old['x-kind']} and is a {new['x-kind']}"
            yield Breach(place, what, OLDER, called.whose)
        before, now = _call(old), _call(new)
        everywhere = Subject("every operation", "the call context", "field", "called by: every service")
        yield from self._written(everywhere, before["context"], now["context"], with_every_call=True)
        yield from self._written(called, before["arguments"], now["arguments"])
        yield from self._read(Subject(place, "the answer", "field", _by("read", callers)), _answer(old), _answer(new))
        for name in sorted(codes(new) - codes(old) - self._known):
            yield Breach(place, f"the refusal {_code(name)} is new and unknown", OLDER, called.whose)
        for name in sorted(codes(old) - codes(new)):
            if not self._old_schemas[name].get("deprecated"):
                yield Breach(place, f"the refusal {_code(name)} is gone", OLDER, _by("caught", callers))

    def _refusals(self) -> Iterator[Breach]:
        """Compare category and fields of the refusals that both documents have."""
        for name in sorted(self._old_schemas.keys() & self._new_schemas.keys()):
            if not name.startswith(REFUSAL):
                continue
            raising = [item["post"] for item in self._old["paths"].values() if name in codes(item["post"])]
            callers = set().union(*(sources.callers_of(operation["operationId"]) for operation in raising))
            subject = Subject(self._service, f"the refusal {_code(name)}", "field", _by("caught", callers))
            old, new = self._old_schemas[name]["properties"], self._new_schemas[name]["properties"]
            yield from self._read(subject, old["fields"], new["fields"])
            (before,), (now,) = old["category"]["enum"], new["category"]["enum"]
            if before != now:
                yield Breach(self._service, f"{subject.whole} was {before} and is {now}", OLDER, subject.whose)

    def _events(self) -> Iterator[Breach]:
        for name, old in sorted(self._old["x-events"].items()):
            subject = Subject(name, "the event", "field", _by("handled", sources.hearers_of(name)))
            new = self._new["x-events"].get(name)
            if new is not None:
                yield from self._read(subject, old, new)
            elif not old.get("deprecated"):
                yield Breach(name, "the event is gone", OLDER, subject.whose)
        for name in sorted(set(self._old.get("x-consumes", ())) - set(self._new["x-consumes"])):
            emitter = name.partition(".")[0]
            yield Breach(self._service, f"the event {name} is no longer handled", OLDER, _by("emitted", [emitter]))

    def _read(self, subject: Subject, old: Document, new: Document) -> Iterator[Breach]:
        """Compare what services write and callers read: newer services' answers to older callers, and the reverse."""
        before, now = Node(old, self._old_schemas), Node(new, self._new_schemas)
        older, newer = differences(now, before), differences(before, now)
        yield from _breaches(subject, (older, READ_BY_OLDER, OLDER), (newer, READ_BY_NEWER, NEWER))

    def _written(
        self, subject: Subject, old: Document, new: Document, *, with_every_call: bool = False
    ) -> Iterator[Breach]:
        """Compare what callers write and services read; newer callers' additions break only if every call has them."""
        before, now = Node(old, self._old_schemas), Node(new, self._new_schemas)
        older, newer = differences(before, now), differences(now, before) if with_every_call else ()
        yield from _breaches(subject, (older, WRITTEN_BY_OLDER, OLDER), (newer, READ_BY_OLDER, NEWER))


def _breaches(subject: Subject, *ways: tuple[Iterable[Difference], Mapping[str, str], str]) -> Iterator[Breach]:
    """One breach per place, except for values, which have two: the added and the removed ones."""
    reported: set[object] = set()
    for differing, phrases, broken in ways:
        for difference in differing:
            place = difference if difference.kind == "values" else difference.path
            if difference.kind in phrases and place not in reported:
                reported.add(place)
                part = f"{subject.part} {difference.path}"
                it = f"{part} of {subject.whole}" if difference.path else subject.whole
                words = {"whole": subject.whole, "part": part, "it": it, **difference._asdict()}
                yield Breach(subject.place, phrases[difference.kind].format(**words), broken, subject.whose)


def _by(done: str, names: Iterable[str]) -> str:
    return f"{done} by: {', '.join(sorted(names)) or 'no known app'}"


def _code(name: str) -> str:
    return name.removeprefix(REFUSAL)


def _call(operation: Document) -> Document:
    properties: Document = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    return properties


def _answer(operation: Document) -> Document:
    schema: Document = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return schema

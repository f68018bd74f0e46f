"""Finds where values of one JSON Schema cannot be read by another, under msgspec's rules.

Unknown fields are ignored, every declared field is written, a field without a default is required. Here: schemas of the
kinds that msgspec writes. Not here: which of the differences is a breach (`compare`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]
AT_MOST = ("maxLength", "maxItems", "maximum", "exclusiveMaximum")
AT_LEAST = ("minLength", "minItems", "minimum", "exclusiveMinimum")
SAYS_NOTHING = frozenset({"title", "description", "default", "deprecated", "examples", "discriminator"})
HANDLED = frozenset({"type", "format", "contentEncoding", "items", "prefixItems"})


class Difference(NamedTuple):
    """One place that differs. `kind` is one of:

    - `missing`: the reader needs a field that is not written; `defaulted`: it has a default for it
    - `ignored`: a written field is unknown to the reader; `optional`: a field that the reader needs may be left out
    - `values`: written values that the reader does not accept; `type`: another type; `limit`: beyond a reader's limit
    """

    kind: str
    path: str
    written: str = ""
    readable: str = ""


class Node(NamedTuple):
    """A schema within its document's components."""

    schema: Schema
    components: Schema

    @property
    def name(self) -> str:
        """The name of the component that the schema refers to, if any."""
        return str(self.schema.get("$ref", "")).rpartition("/")[2]

    def resolved(self) -> Node:
        """The schema that it refers to, or itself."""
        return Node(self.components[self.name], self.components) if self.name else self

    def items(self) -> Node:
        """The schema of an array's items."""
        return Node(self.schema["items"], self.components)

    def heads(self) -> list[Node]:
        """The schemas of an array with a type for each position."""
        return [Node(schema, self.components) for schema in self.schema.get("prefixItems", ())]

    def properties(self) -> dict[str, Node]:
        """Each property's schema, by name."""
        return {name: Node(schema, self.components) for name, schema in self.schema.get("properties", {}).items()}

    def members(self) -> list[Node]:
        """The members of a union; for any other schema, itself."""
        return [Node(member, self.components) for member in self.schema.get("anyOf", [self.schema])]

    def words(self) -> str:
        """The type in words."""
        schema = self.resolved().schema
        if "anyOf" in schema:
            return " or ".join(member.words() for member in self.resolved().members())
        if "enum" in schema:
            return ", ".join(str(value) for value in schema["enum"])
        if isinstance(schema.get("items"), dict):
            return f"array of {self.resolved().items().words()}"
        return str(self.name or schema.get("format") or schema.get("contentEncoding") or schema.get("type", "anything"))


def differences(
    writer: Node, reader: Node, path: str = "", compared: frozenset[tuple[str, str]] = frozenset()
) -> Iterator[Difference]:
    """Every place where a value of `writer` may not fit `reader`. Types may refer to themselves."""
    pair = (writer.name, reader.name)
    if all(pair) and pair in compared:
        return
    compared |= {pair}
    other_type = Difference("type", path, writer.words(), reader.words())
    writer, reader = writer.resolved(), reader.resolved()
    if not reader.schema.keys() - SAYS_NOTHING:
        return
    if "anyOf" in writer.schema or "anyOf" in reader.schema:
        yield from _union(writer, reader, path, compared)
    elif "enum" in writer.schema or "enum" in reader.schema:
        yield from _enumeration(writer, reader, other_type)
    elif not _same_form(writer.schema, reader.schema):
        yield other_type
    elif writer.schema["type"] == "object":
        yield from _fields(writer, reader, path, compared)
    else:
        yield from _items(writer, reader, path, compared)


def _same_form(written: Schema, read: Schema) -> bool:
    """Whether the JSON has the same form; a reader of any text also reads a formatted one."""
    forms = [
        (
            schema.get("type"),
            schema.get("contentEncoding"),
            type(schema.get("items")),
            len(schema.get("prefixItems", ())),
        )
        for schema in (written, read)
    ]
    return forms[0] == forms[1] and read.get("format") in {None, written.get("format")}


def _union(writer: Node, reader: Node, path: str, compared: frozenset[tuple[str, str]]) -> Iterator[Difference]:
    """Each member must be readable as some member; where one of its sort exists, the differences within are listed."""
    for member in writer.members():
        tried = [(candidate, [*differences(member, candidate, path, compared)]) for candidate in reader.members()]
        if all(unreadable for _, unreadable in tried):
            alike = [unreadable for candidate, unreadable in tried if _sort(candidate) == _sort(member)]
            yield from alike[0] if alike else [Difference("values", path, member.words(), reader.words())]


def _sort(node: Node) -> tuple[Any, ...]:
    schema = node.resolved().schema
    tag = schema.get("properties", {}).get("type", {}).get("enum")
    kinds = {type(value).__name__ for value in schema.get("enum", ())}
    return schema.get("type", {"str": "string", "int": "integer"}.get("".join(kinds))), str(tag)


def _enumeration(writer: Node, reader: Node, other_type: Difference) -> Iterator[Difference]:
    written, read = writer.schema, reader.schema
    if "enum" in written and "enum" in read:
        if news := [str(value) for value in written["enum"] if value not in read["enum"]]:
            yield other_type._replace(kind="values", written=", ".join(news))
    elif "enum" in read or _sort(writer) != _sort(reader) or read.keys() - SAYS_NOTHING - {"type"}:
        yield other_type


def _fields(writer: Node, reader: Node, path: str, compared: frozenset[tuple[str, str]]) -> Iterator[Difference]:
    written, read = writer.properties(), reader.properties()
    for name in sorted(written | read):
        at = f"{path}.{name}".lstrip(".")
        needed = name in reader.schema.get("required", ())
        deprecated = bool((written | read)[name].schema.get("deprecated"))
        if name not in written and (needed or not deprecated):
            yield Difference("missing" if needed else "defaulted", at)
        elif name not in read and not deprecated:
            yield Difference("ignored", at)
        elif name in written and name in read:
            if needed and name not in writer.schema.get("required", ()):
                yield Difference("optional", at)
            yield from differences(written[name], read[name], at, compared)


def _items(writer: Node, reader: Node, path: str, compared: frozenset[tuple[str, str]]) -> Iterator[Difference]:
    for place, (written, read) in enumerate(zip(writer.heads(), reader.heads(), strict=True)):
        yield from differences(written, read, f"{path}[{place}]", compared)
    if isinstance(writer.schema.get("items"), dict):
        yield from differences(writer.items(), reader.items(), f"{path}[]", compared)
    yield from _limits(writer.schema, reader.schema, path)


def _limits(written: Schema, read: Schema, path: str) -> Iterator[Difference]:
    for key in sorted(read.keys() - SAYS_NOTHING - HANDLED):
        limit, writers_limit = read[key], written.get(key)
        within = writers_limit == limit
        if writers_limit is not None and key in AT_MOST:
            within = writers_limit <= limit
        elif writers_limit is not None and key in AT_LEAST:
            within = writers_limit >= limit
        if not within:
            yield Difference(
                "limit", path, f"{key} {'none' if writers_limit is None else writers_limit}", f"{key} {limit}"
            )

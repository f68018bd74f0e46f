"""The contract of an endpoint, read from its type hints. DRF's settings import this module, so it imports no view."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

SPEC = "__endpoint__"


class Spec(NamedTuple):
    """The input and output of an endpoint."""

    status: int
    public: bool
    body: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    path: dict[str, Any]
    result: Any
    multipart: type[msgspec.Struct] | None
    summary: str


def spec_of_function(handler: Any) -> Spec:
    """The contract of a decorated method."""
    spec: Spec = getattr(handler, SPEC)()
    return spec


def spec_of(view: Any, method: str) -> Spec | None:
    """The contract of a view's method, if it is an endpoint."""
    handler = getattr(view, method.lower(), None)
    return spec_of_function(handler) if hasattr(handler, SPEC) else None


def example(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """A body to start from in the raw JSON form: defaults where there are any, else an empty value of the type."""
    filled: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        filled[field.encode_name] = _value(field)
    return filled


def _value(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    (schema,), components = msgspec.json.schema_components([field.type], ref_template="{name}")
    schema = components.get(schema.get("$ref", ""), schema)
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "", "integer": 0, "array": [], "boolean": False}.get(str(schema.get("type")))

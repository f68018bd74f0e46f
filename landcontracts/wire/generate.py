"""Generates a service's OpenAPI 3.1 document from its interface: operations, refusals, faults, events.

Here: the form of a document. Not here: which changes of it are breaches (`compare`).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from apps.core.interface import errors
from apps.core.interface.context import WireContext
from apps.core.interface.errors import (
    HTTP_STATUS,
    CommandKeyReused,
    DomainError,
    Forbidden,
    InvalidArguments,
    ServiceBusy,
)
from apps.core.interface.events import Event
from apps.core.interface.operations import PATH, Kind, Operation, ServiceKey
from apps.core.seam import signing
from landcontracts.topology import SERVICES

Document = dict[str, Any]
REF = "#/components/schemas/{name}"
REFUSAL = "refusal."
FAULTS = {
    400: "Not a call.",
    401: "Not authentic, or signed too long ago.",
    403: "The caller's code does not ask this, or not for the system.",
    404: "No such service in this process, or no such operation.",
    413: "The call is too large.",
    500: "It failed inside and may have been executed.",
}
# The refusals of every operation, which its docstring need not list.
OF_EVERY = {
    Kind.QUERY: (InvalidArguments, ServiceBusy),
    Kind.COMMAND: (InvalidArguments, ServiceBusy, CommandKeyReused),
}
OF_THE_SEAM = {error.__name__: error for error in (InvalidArguments, CommandKeyReused, ServiceBusy, Forbidden)}
SEAL = {
    "X-Seam-Caller": "The name of the calling process.",
    "X-Seam-Time": (
        f"When the call was signed: Unix milliseconds, within {signing.MAX_AGE_MS // 1000} seconds of the service's clock."
    ),
    "X-Seam-Body-SHA256": "The hex SHA-256 of the body, so that a call can be refused before its body is received.",
    "X-Seam-Signature": (
        f"`{signing.VERSION}=` and the hex HMAC-SHA-256, under the secret of caller and service, of five lines: "
        f"{signing.VERSION}, POST, the path, X-Seam-Time, the hex SHA-256 of the body."
    ),
}
_RAISES = re.compile(r"\b[Rr]aises:? ([^.]*)")
_NAME = re.compile(r"(?:\b(\w+)'s? )?\b([A-Z]\w+)")
_DEPRECATED = re.compile(r"\bDeprecated\b")


def documents() -> dict[str, Document]:
    """The document of every service in the topology. Raises: LookupError, as `document` does."""
    return {service: document(import_string(entry.key), consumes=entry.consumes) for service, entry in SERVICES.items()}


def document(key: ServiceKey[Any], names: Mapping[str, Any] | None = None, consumes: Sequence[str] = ()) -> Document:
    """One service's document. `names` are by default those of its interface module.

    Raises: LookupError when a docstring names an undeclared refusal.
    """
    names = interface(key) if names is None else names
    operations = sorted(key.operations.values(), key=lambda operation: operation.name)
    raised = {operation.name: set(_raised(operation, key, names)) for operation in operations}
    refusals = {REFUSAL + error.code: error for error in declared(names).union(OF_THE_SEAM.values(), *raised.values())}
    events = {kind.TYPE: kind for kind in names.values() if _is_a(kind, Event)}
    types: dict[str, Any] = {"context": WireContext, **events}
    types |= {name: errors.fields_type(error) for name, error in refusals.items()}
    for operation in operations:
        types |= {f"{operation.name}()": operation.arguments_type, f"{operation.name} ->": operation.result_type}
    written, components = msgspec.json.schema_components(types.values(), ref_template=REF)
    schemas = dict(zip(types, written, strict=True))
    components |= {name: _refusal(error, schemas[name]) for name, error in refusals.items()}
    components["Fault"] = _object(fault={"type": "string"})
    return {
        "openapi": "3.1.0",
        "info": {"title": key.name, "version": signing.VERSION, "description": inspect.getdoc(key.protocol) or ""},
        "security": [{name: [] for name in SEAL}],
        "paths": {
            f"{PATH}/{key.name}/{operation.name}": {"post": _described(operation, raised[operation.name], schemas)}
            for operation in operations
        },
        "x-events": {name: {**schemas[name], **_standing(kind.__doc__)} for name, kind in events.items()},
        "x-consumes": sorted(consumes),
        "components": {"schemas": components, "responses": _faults(), "securitySchemes": _seal()},
    }


def interface(key: ServiceKey[Any]) -> Mapping[str, Any]:
    """The names of the module that declares a service."""
    return vars(sys.modules[key.protocol.__module__])


def declared(names: Mapping[str, Any]) -> set[type[DomainError]]:
    """The refusals among an interface's names."""
    return {kind for kind in names.values() if _is_a(kind, DomainError) and "code" in vars(kind)}


def codes(operation: Document) -> set[str]:
    """The refusals of a documented operation, as names of components."""
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    members = [
        member for content in contents for kind in content.values() for member in kind["schema"].get("anyOf", ())
    ]
    names = {member.get("$ref", "").rpartition("/")[2] for member in members}
    return {name for name in names if name.startswith(REFUSAL)}


def _raised(operation: Operation, key: ServiceKey[Any], names: Mapping[str, Any]) -> Iterator[type[DomainError]]:
    """The seam's own refusals, and those that the docstrings of the method and of its Protocol list after "Raises"."""
    yield from OF_EVERY[operation.kind]
    docstrings = f"{inspect.getdoc(key.protocol)}\n{inspect.getdoc(operation.function)}"
    for owner, name in _NAME.findall(" ".join(_RAISES.findall(docstrings))):
        shapes = interface(import_string(SERVICES[owner].key)) if owner else {**OF_THE_SEAM, **names}
        error: Any = shapes.get(name)
        if not _is_a(error, DomainError):
            raise LookupError(f"{key.name}.{operation.name}: after Raises it names {name}, which is no refusal")
        yield error


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base


def _described(operation: Operation, raised: set[type[DomainError]], schemas: Mapping[str, Any]) -> dict[str, Any]:
    call = _object(context=schemas["context"], arguments=schemas[f"{operation.name}()"])
    responses: dict[str, Any] = {"200": {"description": "Done.", **_json(schemas[f"{operation.name} ->"])}}
    refused: dict[int, list[str]] = {status: [] for status in FAULTS}
    for code, category in sorted((error.code, error.category) for error in raised):
        refused.setdefault(HTTP_STATUS[category], []).append(code)
    for status, listed in refused.items():
        fault_only = {"$ref": f"#/components/responses/{status}"}
        responses[str(status)] = _refused(listed, FAULTS.get(status)) if listed else fault_only
    return {
        "operationId": f"{operation.service}.{operation.name}",
        "description": inspect.getdoc(operation.function) or "",
        "x-kind": operation.kind.value,
        "x-timeout-ms": operation.timeout_ms,
        **({"x-varies": list(operation.varies)} if operation.varies else {}),
        **({"x-any-order": list(operation.any_order)} if operation.any_order else {}),
        "requestBody": {"required": True, **_json(call)},
        "responses": responses,
        **_standing(operation.function.__doc__),
    }


def _refused(listed: list[str], fault: str | None) -> dict[str, Any]:
    names = [REFUSAL + code for code in listed] + (["Fault"] if fault else [])
    schema = {"anyOf": [{"$ref": REF.format(name=name)} for name in names]}
    return {"description": f"Refused. {fault or ''}".strip(), **_json(schema)}


def _refusal(error: type[DomainError], fields: dict[str, Any]) -> dict[str, Any]:
    schema = _object(code={"enum": [error.code]}, category={"enum": [error.category.value]}, fields=fields)
    return {**schema, "description": inspect.getdoc(error), **_standing(error.__doc__)}


def _standing(docstring: str | None) -> dict[str, bool]:
    """`deprecated` where the docstring says so; OpenAPI 3.1, Operation Object."""
    return {"deprecated": True} if _DEPRECATED.search(docstring or "") else {}


def _faults() -> dict[str, Any]:
    fault = _json({"$ref": REF.format(name="Fault")})
    return {str(status): {"description": words, **fault} for status, words in FAULTS.items()}


def _seal() -> dict[str, Any]:
    return {
        name: {"type": "apiKey", "in": "header", "name": name, "description": words} for name, words in SEAL.items()
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}

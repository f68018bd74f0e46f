"""Builds the public OpenAPI 3.1 document from type hints: schemas by msgspec, the rest by drf-spectacular."""

from __future__ import annotations

import re
import threading
from typing import Any

import msgspec
from drf_spectacular.openapi import AutoSchema

from apps.core.rest.contract import Spec, spec_of
from apps.core.rest.problems import MEDIA_TYPE, Problem

REF = "#/components/schemas/{name}"


class _Described(threading.local):
    """The types of the document that this thread generates; the hook writes their components and clears the list."""

    def __init__(self) -> None:
        self.types: list[Any] = [Problem]


_described = _Described()


def _schema(annotation: Any) -> dict[str, Any]:
    _described.types.append(annotation)
    (schema,), _ = msgspec.json.schema_components([annotation], ref_template=REF)
    return schema


class StructSchema(AutoSchema):
    """Describes an operation from its endpoint's contract."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        """The operation object, or None where the method is no endpoint."""
        spec = spec_of(self.view, method)
        if spec is None:
            return None
        module = type(self.view).__module__.split(".")
        operation: dict[str, Any] = {
            "operationId": f"{module[1]}.{type(self.view).__name__}.{method.lower()}",
            "tags": [module[1]],
            "summary": spec.summary,
            "parameters": [*_path_parameters(path, spec), *_query_parameters(spec), *_header_parameters(method)],
            "responses": _responses(spec),
            "security": [{}] if spec.public else [{"bearer": []}, {"session": []}],
        }
        if spec.body is not None:
            content = {"application/json": {"schema": _schema(spec.body)}}
            operation["requestBody"] = {"required": True, "content": content}
        elif spec.multipart is not None:
            content = {"multipart/form-data": {"schema": _form(spec.multipart)}}
            operation["requestBody"] = {"required": True, "content": content}
        return operation


def _form(fields: type[msgspec.Struct]) -> dict[str, Any]:
    """A form of one file and some fields."""
    described = msgspec.structs.fields(fields)
    return {
        "type": "object",
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            **{field.encode_name: _schema(field.type) for field in described},
        },
        "required": ["file", *(field.encode_name for field in described if field.required)],
    }


def _path_parameters(path: str, spec: Spec) -> list[dict[str, Any]]:
    return [
        {"in": "path", "name": name, "required": True, "schema": _schema(spec.path[name])}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(spec: Spec) -> list[dict[str, Any]]:
    if spec.query is None:
        return []
    return [
        {"in": "query", "name": field.encode_name, "required": field.required, "schema": _schema(field.type)}
        for field in msgspec.structs.fields(spec.query)
    ]


def _header_parameters(method: str) -> list[dict[str, Any]]:
    if method.upper() == "GET":
        return []
    description = "Repeating a request with the same key gives the first answer and no second effect."
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21\\x23-\\x7e]+$"}
    return [{"in": "header", "name": "Idempotency-Key", "description": description, "schema": schema}]


def _responses(spec: Spec) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}}
    success: dict[str, Any] = {"description": "Done."}
    if spec.result is not None and spec.result is not type(None):
        success["content"] = {"application/json": {"schema": _schema(spec.result)}}
    responses: dict[str, Any] = {str(spec.status): success}
    if not spec.public:
        responses["401"] = {"description": "Not signed in.", "content": problem}
    responses["default"] = {"description": "Refused; see `code`.", "content": problem}
    return responses


def add_components(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Post-processing hook: adds the schemas of all described types, and the two security schemes."""
    _, schemas = msgspec.json.schema_components(_described.types, ref_template=REF)
    components = result.setdefault("components", {})
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
    }
    del _described.types[1:]
    return result

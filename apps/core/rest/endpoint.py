"""`@endpoint`: a view method whose type hints are its contract.

`body` and `query` are decoded to the structs of their annotations, path parameters are passed by name, the returned
struct is encoded. The OpenAPI document is built from the same hints.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache, wraps
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from rest_framework.exceptions import NotAuthenticated, UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.rest import edge
from apps.core.rest.contract import SPEC, Spec
from apps.core.rest.problems import FieldProblem, Unfit

F = TypeVar("F", bound=Callable[..., Any])
_MAX_PROBLEMS = 20
_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


class View(APIView):
    """The base of every REST view."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body in a coding, such as gzip: none is decoded (RFC 9110, section 8.4).

        Raises: UnsupportedMediaType.
        """
        super().initial(request, *args, **kwargs)
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        if coding not in {"", "identity"}:
            raise UnsupportedMediaType(coding)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a problem inside DRF's page as a page, and not as `application/problem+json`."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        if getattr(getattr(finished, "accepted_renderer", None), "media_type", "") == "text/html":
            finished.content_type = None
        return finished


def endpoint(
    *,
    status: int = 200,
    public: bool = False,
    multipart: type[msgspec.Struct] | None = None,
    route_by: str = "",
    key_namespace: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Make a view method an endpoint. Anonymous callers may call `public` ones.

    For an anonymous request the body's field `route_by`, lower-cased and stripped, decides the route; the fields
    `key_namespace`, else `route_by`, separate callers' idempotency keys. `multipart`: fields of a form that the method itself reads.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def handler(self: View, request: Request, **path: Any) -> Response:
            contract = spec()
            if not public and not request.user.is_authenticated:
                raise NotAuthenticated
            arguments: dict[str, Any] = dict(path)
            if contract.body is not None:
                arguments["body"] = read_body(request, contract.body)
            if contract.query is not None:
                arguments["query"] = _read_query(request, contract.query)
            body = arguments.get("body")
            aggregate = str(getattr(body, route_by)).strip().lower() if route_by else ""
            namespace = "\0".join(str(getattr(body, name)) for name in key_namespace)
            ctx = edge.context(request._request, request.user, aggregate=aggregate, namespace=namespace)
            result = function(self, ctx=ctx, **arguments)
            return result if isinstance(result, Response) else Response(result, status=status)

        @cache
        def spec() -> Spec:  # the hints are read at the first request, when every name they use exists
            hints = get_type_hints(function, include_extras=True)
            result = hints.pop("return", None)
            body, query = hints.pop("body", None), hints.pop("query", None)
            hints.pop("ctx", None)
            summary = (function.__doc__ or "").strip().split("\n")[0]
            return Spec(status, public, body, query, hints, result, multipart, summary)

        setattr(handler, SPEC, spec)
        return handler  # type: ignore[return-value]  # DRF calls it with a request instead

    return decorate


def read_body(request: Request, body_type: type[msgspec.Struct]) -> Any:
    """Decode a JSON body. Raises: Unfit, for a missing one too: a request whose body got lost changes nothing."""
    raw = request.data if isinstance(request.data, bytes) else b""
    if not raw:
        raise Unfit((FieldProblem(pointer="", detail="a JSON body is required"),))
    try:
        body = msgspec.json.decode(raw, type=body_type)
        _require_plain_decimals(raw, body_type)
        return body
    except msgspec.ValidationError as error:
        raise Unfit(_every_problem(raw, body_type, error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unfit((FieldProblem(pointer="", detail=str(error)),), malformed=True) from None


@cache
def _decimals(body_type: type[msgspec.Struct]) -> tuple[str, ...]:
    hints = get_type_hints(body_type)
    return tuple(name for name, hint in hints.items() if hint is Decimal or Decimal in get_args(hint))


def _require_plain_decimals(raw: bytes, body_type: type[msgspec.Struct]) -> None:
    """Refuse "1_000", " 5 ", "1e3" and digits of other scripts, which Python's Decimal accepts and amounts do not."""
    names = _decimals(body_type)
    values = msgspec.json.decode(raw) if names else {}
    problems = [
        FieldProblem(pointer=f"/{name}", detail="Expected a decimal number such as 1500000.00")
        for name in names
        if isinstance(values.get(name), str) and _PLAIN_DECIMAL.fullmatch(values[name]) is None
    ]
    if problems:
        raise Unfit(tuple(problems))


def _every_problem(
    raw: bytes, body_type: type[msgspec.Struct], first: msgspec.ValidationError
) -> tuple[FieldProblem, ...]:
    """The problems of all fields, each validated separately, because msgspec stops at the first error."""
    problems: list[FieldProblem] = []
    try:
        values = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return (FieldProblem(pointer="", detail=str(first)),)
    for field in msgspec.structs.fields(body_type):
        if field.encode_name not in values:
            if field.required:
                problems.append(FieldProblem(pointer=f"/{field.encode_name}", detail="required"))
            continue
        try:
            msgspec.convert(values[field.encode_name], field.type, strict=True, builtin_types=None)
        except msgspec.ValidationError as error:
            problems.append(_located(field.encode_name, error))
    unknown = set(values) - {field.encode_name for field in msgspec.structs.fields(body_type)}
    problems += [FieldProblem(pointer=f"/{name}", detail="unknown field") for name in sorted(unknown)]
    return tuple(problems[:_MAX_PROBLEMS]) or (FieldProblem(pointer="", detail=str(first)),)


def _located(name: str, error: msgspec.ValidationError) -> FieldProblem:
    text, _, place = str(error).partition(" - at `$")
    inner = place.rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
    return FieldProblem(pointer=f"/{name}{inner}", detail=text)


def _read_query(request: Request, query_type: type[msgspec.Struct]) -> Any:
    parameters = {name: values[-1] for name, values in request.query_params.lists()}
    parameters.pop("format", None)
    try:
        return msgspec.convert(parameters, query_type, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        raise Unfit((FieldProblem(pointer=place.rstrip("`"), detail=text),)) from None


def fields_of(body: msgspec.Struct) -> dict[str, Any]:
    """A body's fields as keyword arguments, to pass them on unchanged."""
    return {name: getattr(body, name) for name in body.__struct_fields__}

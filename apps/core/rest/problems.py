"""Errors as problem details (RFC 9457): a stable code, a sentence in the reader's language, and the error's fields."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_noop
from rest_framework import exceptions
from rest_framework.response import Response

from apps.core.interface.dto import Dto
from apps.core.interface.errors import HTTP_STATUS, Category, DomainError, RemoteCallFailed, ServiceBusy, is_no_space
from apps.core.rest.authentication import BearerAuthentication

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger(__name__)

TITLES: dict[int, str] = {
    400: gettext_noop("Malformed request"),
    401: gettext_noop("Not signed in"),
    403: gettext_noop("Not allowed"),
    404: gettext_noop("Not found"),
    405: gettext_noop("Method not allowed"),
    406: gettext_noop("Not acceptable"),
    409: gettext_noop("Conflict"),
    413: gettext_noop("Too large"),
    415: gettext_noop("Unsupported media type"),
    422: gettext_noop("Not valid"),
    429: gettext_noop("Too many requests"),
    500: gettext_noop("Internal error"),
    503: gettext_noop("Service unavailable"),
}


class FieldProblem(Dto):
    """One problem of a field. `pointer` is a JSON pointer (RFC 6901) into the body or a parameter's name."""

    pointer: str
    detail: str


class Problem(Dto):
    """What went wrong (RFC 9457). Further members are the error's own fields."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    errors: tuple[FieldProblem, ...] = ()


class BodyInvalid(DomainError, code="invalid_request", category=Category.INVALID):
    """The body or a parameter does not fit its schema."""

    message = gettext_noop("The request does not fit its schema.")


class BodyMalformed(DomainError, code="malformed_json", category=Category.INVALID):
    """The body is no JSON at all; answered with 400."""

    message = gettext_noop("The body is not valid JSON.")


class Unfit(Exception):
    """A request that does not fit its schema, with its problems."""

    def __init__(self, problems: tuple[FieldProblem, ...], *, malformed: bool = False) -> None:
        super().__init__()
        self.problems = problems
        self.malformed = malformed


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error becomes a problem; an unknown one is logged and its details are withheld."""
    request = context["request"]
    problem, headers, extra = _describe(error, request.path)
    if problem.status >= 500:
        log.error("request_failed", path=request.path, exc_info=error)
    body = {**msgspec.to_builtins(problem), **extra}
    if not problem.errors:
        body.pop("errors")
    return Response(body, status=problem.status, headers=headers, content_type=MEDIA_TYPE)


def _describe(error: Exception, path: str) -> tuple[Problem, dict[str, str], dict[str, Any]]:
    headers: dict[str, str] = {}
    match error:
        case Unfit(problems=problems, malformed=malformed):
            base: DomainError = BodyMalformed() if malformed else BodyInvalid()
            return _problem(400 if malformed else 422, base.code, gettext(base.message), path, problems), headers, {}
        case DomainError():
            status = HTTP_STATUS[error.category]
            if status == 401:
                headers["WWW-Authenticate"] = BearerAuthentication().authenticate_header(None)  # type: ignore[arg-type]  # it ignores the request
            if status == 503 or hasattr(error, "retry_after_seconds"):
                headers["Retry-After"] = str(getattr(error, "retry_after_seconds", 1))
            extra = msgspec.to_builtins(error.fields)
            return _problem(status, error.code, in_words(error), path), headers, extra
        case RemoteCallFailed():
            return _describe(ServiceBusy(), path)
        case OSError() if is_no_space(error):
            return _describe(ServiceBusy(), path)
        case Http404():
            return _problem(404, "not_found", gettext("There is nothing here."), path), headers, {}
        case PermissionDenied():
            return _problem(403, "forbidden", gettext("Your role does not allow this."), path), headers, {}
        case SuspiciousOperation() if not isinstance(error, RequestDataTooBig):
            return _problem(400, "malformed_request", gettext("The request is malformed."), path), headers, {}
        case RequestDataTooBig():
            return _problem(413, "body_too_large", gettext("The body is too large."), path), headers, {}
        case exceptions.APIException():
            if wait := getattr(error, "wait", None):
                headers["Retry-After"] = str(int(wait))
            if auth := getattr(error, "auth_header", None):
                headers["WWW-Authenticate"] = auth
            code = error.get_codes() if isinstance(error.get_codes(), str) else error.default_code
            return _problem(error.status_code, str(code), str(error.detail), path), headers, {}
    return _problem(500, "internal_error", gettext("Something went wrong on our side."), path), headers, {}


def in_words(error: DomainError) -> str:
    """An error's sentence in the active language."""
    return gettext(error.message).format(**error.words())


def _problem(status: int, code: str, detail: str, path: str, errors: tuple[FieldProblem, ...] = ()) -> Problem:
    title = gettext(TITLES.get(status, "Error"))
    kind = f"urn:landcontracts:problem:{code}"
    return Problem(type=kind, title=title, status=status, detail=detail, code=code, instance=path, errors=errors)


def response(status: int, code: str, detail: str, request: HttpRequest) -> HttpResponse:
    """A problem from outside DRF: Django's own 404 and 500 under `/api/`."""
    body = msgspec.json.encode(_problem(status, code, detail, request.path))
    return HttpResponse(body, status=status, content_type=MEDIA_TYPE)

"""Refusals that the server answers itself, as problem details (RFC 9457), seam refusals or short pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from apps.core.interface.errors import gettext_noop
from landcontracts.server.routes import Form


class Refusal(NamedTuple):
    """A refusal. `code` is the HTTP status; `name` is the problem's code."""

    code: int
    reason: str
    name: str
    title: str
    detail: str
    retry_after_seconds: int = 0


_ = gettext_noop
MALFORMED = Refusal(400, "Bad Request", "malformed_request", _("Malformed request"), _("The request is malformed."))
NOT_SIGNED_IN = Refusal(
    401, "Unauthorized", "not_authenticated", _("Not signed in"), _("Sign in before you send a file.")
)
NOT_AUTHENTIC = Refusal(401, "Unauthorized", "not_authentic", _("Not signed in"), "not authentic")
TOO_SLOW = Refusal(
    408, "Request Timeout", "request_timeout", _("Too slow"), _("The request did not arrive in time. Please try again.")
)
TOO_LARGE = Refusal(413, "Content Too Large", "body_too_large", _("Too large"), _("The body is too large."))
HEADERS_TOO_LARGE = Refusal(
    *(431, "Request Header Fields Too Large", "headers_too_large", _("Too large")),
    _("The headers of the request are too large."),
)
NOT_IMPLEMENTED = Refusal(
    501, "Not Implemented", "not_implemented", _("Not supported"), _("This transfer coding is not supported.")
)
TOO_MANY = Refusal(
    *(429, "Too Many Requests", "too_many_at_once", _("Too many requests")),
    _("Too many of your requests of this kind are under way. Please try again in a moment."),
    retry_after_seconds=5,
)
BUSY = Refusal(
    *(503, "Service Unavailable", "service_busy", _("Service unavailable")),
    _("The service is busy. Please try again."),
    retry_after_seconds=2,
)
NO_SPACE = Refusal(
    *(503, "Service Unavailable", "storage_full", _("Service unavailable")),
    _("There is no room for this request at the moment. Please try again later."),
    retry_after_seconds=30,
)
FAILED = Refusal(
    *(500, "Internal Server Error", "internal_error", _("Internal error")),
    _("Something went wrong on our side."),
)


def rendered(
    refusal: Refusal, form: Form, path: str, translate: Callable[[str], str]
) -> tuple[str, list[tuple[str, str]], bytes]:
    """The status line, headers and body of a refusal, in the reader's language."""
    status = f"{refusal.code} {refusal.reason}"
    media_type, body = _body(refusal, form, path, translate)
    headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    if refusal.retry_after_seconds:
        headers.append(("Retry-After", str(refusal.retry_after_seconds)))
    if refusal.code == 401 and form is not Form.FAULT:
        headers.append(("WWW-Authenticate", 'Bearer realm="landcontracts"'))
    return status, headers, body


def _body(refusal: Refusal, form: Form, path: str, translate: Callable[[str], str]) -> tuple[str, bytes]:
    if form is Form.FAULT:
        typed = {"code": "service_busy", "category": "unavailable", "fields": {}}
        return "application/json", json.dumps(typed if refusal.code == 503 else {"fault": refusal.detail}).encode()
    title, detail = translate(refusal.title), translate(refusal.detail)
    if form is Form.PAGE:
        return "text/html; charset=utf-8", f"<!doctype html><title>{title}</title><p>{detail}".encode()
    return "application/problem+json", f"{_problem(refusal, title, detail)}{json.dumps(path)}}}".encode()


@cache
def _problem(refusal: Refusal, title: str, detail: str) -> str:
    """A problem up to its last member: an overload is answered by thousands a second."""
    problem = {
        "type": f"urn:landcontracts:problem:{refusal.name}",
        "title": title,
        "status": refusal.code,
        "detail": detail,
        "code": refusal.name,
        "instance": "",
    }
    return json.dumps(problem, ensure_ascii=False).removesuffix('""}')

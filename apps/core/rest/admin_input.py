"""What the admin is sent and cannot read is answered 400: Django's own pages take it to the database, and fail there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

PREFIX = "/admin/"
NUL = "\0"
log = structlog.get_logger(__name__)


class AdminInput:
    """Refuses NUL, which no text of PostgreSQL can hold, in filters and forms, and ids that are none in actions."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Refuse NUL, before any page reads it."""
        if not request.path_info.startswith(PREFIX):
            return None
        forms = (request.GET, request.POST)
        has_nul = any(NUL in part for form in forms for name, values in form.lists() for part in (name, *values))
        return _bad_request("NUL") if has_nul or NUL in request.path_info else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A form reports its errors itself; one that comes as far as here is of a value that no form has read."""
        if not request.path_info.startswith(PREFIX):
            return None
        is_of_id = isinstance(exception, ValueError) and ACTION_CHECKBOX_NAME in request.POST
        if not is_of_id and not isinstance(exception, ValidationError | OverflowError):
            return None
        log.warning("admin_input_refused", exc_info=exception)
        return _bad_request("; ".join(getattr(exception, "messages", [str(exception)])))


def _bad_request(reason: str) -> HttpResponse:
    return HttpResponseBadRequest(reason, content_type="text/plain; charset=utf-8")

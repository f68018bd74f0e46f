"""NUL in what the admin is sent is answered 400: no text of PostgreSQL can hold it, and Django's lists would fail there."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest

PREFIX = "/admin/"
NUL = "\0"


class AdminInput:
    """Refuses NUL in the address, in filters and in forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        if request.path_info.startswith(PREFIX) and _has_nul(request):
            return HttpResponseBadRequest("NUL", content_type="text/plain")
        return self._get_response(request)


def _has_nul(request: HttpRequest) -> bool:
    forms = (request.GET, request.POST)
    parts = (part for form in forms for name, values in form.lists() for part in (name, *values))
    return NUL in request.path_info or any(NUL in part for part in parts)

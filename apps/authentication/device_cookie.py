"""The browser's cookie that says that a person has logged in from it before; see `logic/devices.py`."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

NAME = "device"
SECONDS = 365 * 24 * 3600


class DeviceCookie:
    """Sets the cookie after a log-in, wherever it was: on a page or in the admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the cookie where the backend has given a token."""
        response = self._get_response(request)
        token = getattr(request, "device_token", "")
        if token:
            response.set_cookie(
                NAME, token, max_age=SECONDS, httponly=True, samesite="Lax", secure=settings.SECURE_COOKIES
            )
        return response


def token_of(request: HttpRequest | None) -> str:
    """The token that the browser sent."""
    return "" if request is None else request.COOKIES.get(NAME, "")[:100]

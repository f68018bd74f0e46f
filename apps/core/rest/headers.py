"""Headers of every answer: private ones are not stored, and browsers come back over TLS where the platform has it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# RFC 6797. The platform may stand behind a proxy that ends TLS, so the request's own scheme says nothing.
STRICT_TRANSPORT = "max-age=31536000"


class AnswerHeaders:
    """Adds `Cache-Control: no-store` under `/api/` (RFC 6749, section 5.1; RFC 9111, section 5.2.2.5), and HSTS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with what the view itself has not set."""
        response = self._get_response(request)
        if request.path_info.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if settings.SECURE_COOKIES:
            response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
        return response

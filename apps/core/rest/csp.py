"""Content Security Policies: the strict one of pages, and those of the admin and of the API's own pages."""

from __future__ import annotations

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase

HEADER = "Content-Security-Policy"
_COMMON = (
    "default-src 'self'; img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'; form-action 'self'; style-src 'self' 'unsafe-inline'; script-src 'self'"
)
# Swagger's page and the browsable API: scripts from files of ours alone. Styles stand in their elements.
API = _COMMON
# The admin's Alpine evaluates the expressions in its attributes.
ADMIN = f"{_COMMON} 'unsafe-eval'"


class PagesPolicy(CSPMiddleware):
    """django-csp for the portal. An answer that is no page needs none, so building one for it would be wasted."""

    def process_request(self, request: HttpRequest) -> None:
        if not request.path_info.startswith("/api/"):
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        path = request.path_info
        if path.startswith("/api/"):
            if response.get("Content-Type", "").startswith("text/html"):
                response.headers.setdefault(HEADER, API)
            return response
        if path.startswith("/admin/"):
            response.headers.setdefault(HEADER, ADMIN)
            return response
        return super().process_response(request, response)

"""Repeats a view once when the database refused its transaction because a service's data were just relocated."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from apps.core.database import primaries
from apps.core.seam.server.retries import sqlstate

PATIENCE_SECONDS = 5


class RelocationRetry:
    """Innermost middleware. Seam calls are repeated by the seam; this one covers the admin's own transactions.

    A refused transaction has no effect, and commands that the view sent before it have keys derived from the request.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Record the known primaries at the beginning of the request."""
        request.primaries = primaries.known()  # type: ignore[attr-defined]  # a mark of ours
        answer: HttpResponse = self.get_response(request)
        return answer

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The view's answer at the second attempt; None for any other error."""
        if (
            not isinstance(error, DatabaseError)
            or sqlstate(error) not in primaries.REFUSALS
            or hasattr(request, "repeated")
        ):
            return None
        request.repeated = True  # type: ignore[attr-defined]  # a mark of ours
        if (
            not primaries.any_relocated(getattr(request, "primaries", {}), patience_seconds=PATIENCE_SECONDS)
            or request.resolver_match is None
        ):
            return None
        match = request.resolver_match
        answer: Any = match.func(request, *match.args, **match.kwargs)
        if callable(render := getattr(answer, "render", None)):
            answer = render()
        return answer  # type: ignore[no-any-return]  # what a view returns

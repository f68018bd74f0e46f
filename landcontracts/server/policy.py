"""What the platform tells its web server of a request before the body is received."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.wsgi import WSGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie
from django.utils import translation
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.core.interface.operations import PATH
from apps.core.rest import heavy
from apps.core.rest.authentication import bearer_of
from apps.core.rest.multipart import OVERHEAD
from apps.core.seam.server import endpoint
from landcontracts.server.routes import PROBES, Form, Kind, Route

API = "/api/"


class Policy:
    """Routes by path; senders by access token, else by the browser's session."""

    def __init__(self) -> None:
        self._usual = {form: Route(limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE, form=form) for form in Form}
        self._sealed = Route(limit=endpoint.MAX_BODY, form=Form.FAULT)
        self._unsealed = Route(Kind.UNSEALED, limit=endpoint.MAX_BODY, form=Form.FAULT)
        heavy.weight_of("GET", "/")  # an endpoint without a fixed path fails here, and not at a request

    def route(self, method: str, path: str, headers: Mapping[str, str]) -> Route:
        """The route of a request."""
        if (probe := PROBES.get(path)) is not None:
            return probe
        if path.startswith(f"{PATH}/"):
            return self._sealed if endpoint.DIGEST_HEADER in headers else self._unsealed
        form = Form.PAGE if "text/html" in headers.get("ACCEPT", "") and not path.startswith(API) else Form.PROBLEM
        body_bytes = heavy.weight_of(method, path)
        if body_bytes is None:
            return self._usual[form]
        return Route(Kind.HEAVY, limit=body_bytes + OVERHEAD if body_bytes else self._usual[form].limit, form=form)

    def is_sealed(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a seam call's headers are authentic; other paths have no seal."""
        if not path.startswith(f"{PATH}/") or endpoint.DIGEST_HEADER not in headers:
            return True
        return endpoint.is_sealed(headers, path)

    def person(self, environ: dict[str, Any]) -> str:
        """Who sends a request; empty for a stranger, whom the application refuses itself."""
        request = WSGIRequest({**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"})
        close_old_connections()
        try:
            try:
                bearer = bearer_of(Request(request))
            except AuthenticationFailed:
                bearer = None  # a page does not read the header, and goes by the session
            return str(bearer[0].pk) if bearer is not None else _person_of_session(request)
        finally:
            close_old_connections()

    def translated(self, headers: Mapping[str, str], text: str) -> str:
        """A sentence in the language of the browser's cookie, else of `Accept-Language`, as Django chooses it."""
        cookies = headers.get("COOKIE", "")
        name = settings.LANGUAGE_COOKIE_NAME
        chosen = parse_cookie(cookies).get(name, "") if name in cookies else ""
        return _translated(_language(chosen, headers.get("ACCEPT_LANGUAGE", "")), text)


# An overload is answered by thousands of refusals a second, nearly all in the same few languages.
@lru_cache(maxsize=128)
def _language(chosen: str, accepted: str) -> str:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accepted
    request.COOKIES = {settings.LANGUAGE_COOKIE_NAME: chosen} if chosen else {}
    return translation.get_language_from_request(request)


@lru_cache(maxsize=256)
def _translated(language: str, text: str) -> str:
    with translation.override(language):
        return translation.gettext(text)


def _person_of_session(request: WSGIRequest) -> str:
    """The person of the browser's session. A lifted-out service has no sessions."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not key or "django.contrib.sessions" not in settings.INSTALLED_APPS:
        return ""
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    # `get_user` renews the key of an earlier release's session, and ends an invalid one. That is for the application,
    # whose answer brings the new key to the browser.
    session.cycle_key = session.flush = lambda: None
    request.session = session
    user = get_user(request)
    return str(user.pk) if user.is_authenticated else ""

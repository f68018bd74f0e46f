"""Django's log-in for pages, browsable API and admin, through the interface: the API's rules and lock-out apply."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from apps.authentication import device_cookie
from apps.authentication.interface import AUTHENTICATION, Email, Password, SignedIn
from apps.authentication.models import User
from apps.core.flags import routes
from apps.core.interface.context import STRANGER
from apps.core.rest import network
from apps.core.seam.client.registry import call


class SeamBackend(ModelBackend):
    """Checks the password through the service; loads the account and its admin permissions from the tables."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The account with this address and password, or None."""
        email = (username or kwargs.get("email") or "").strip().lower()
        try:
            msgspec.convert(email, Email)
            msgspec.convert(password, Password)
        except msgspec.ValidationError:
            return None
        client = "" if request is None else network.of(request)
        # Read before the check: a password that changes after it ends the session, which is stamped with this row's time.
        user = User.objects.filter(email=email).first()
        ctx = routes.system_context(email, actor=STRANGER, network=client)
        answer = call(AUTHENTICATION).sign_in(
            ctx=ctx, email=email, password=str(password), device_token=device_cookie.token_of(request)
        )
        if not isinstance(answer, SignedIn) or user is None or user.id != answer.user.id:
            return None
        if request is not None:
            request.device_token = answer.device_token  # type: ignore[attr-defined]  # for `DeviceCookie`
        return user

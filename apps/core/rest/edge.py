"""The edge, which turns a request into a call context. The route is decided here, once, and nowhere else."""

from __future__ import annotations

import hmac
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from apps.core.flags import routes
from apps.core.interface.context import CallContext, new_context
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.observability import identity
from apps.core.rest import network
from apps.core.rest.authentication import actor_of

_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,200})"?')


class BadIdempotencyKey(DomainError, code="bad_idempotency_key", category=Category.INVALID):
    """The header is empty, too long or not printable ASCII."""

    message = gettext_noop("An idempotency key is 1 to 200 printable ASCII characters.")


def context(request: HttpRequest, user: Any, *, aggregate: str = "", namespace: str = "") -> CallContext:
    """The context of a request. `aggregate` decides the route where there is no actor yet: the normalised e-mail.

    `namespace` separates the idempotency keys of anonymous callers: a key belongs to its actor, and they have none. It
    may hold a secret: what is stored is its MAC.

    Raises: BadIdempotencyKey.
    """
    actor = actor_of(user)
    identity.note_actor(actor.id)
    language = get_language() or "ru"
    unit = str(actor.id) if actor.id else aggregate
    route = routes.decide(unit)
    return new_context(
        actor=actor,
        request_id=getattr(request, "request_id", ""),
        trace=getattr(request, "trace", ""),
        locale=language[:2],
        command_key=_idempotency_key(request, "" if actor.id else namespace or aggregate),
        away=route.away,
        shadow=route.shadow,
        unit=unit,
        network=network.of(request),
    )


def _idempotency_key(request: HttpRequest, namespace: str) -> str | None:
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    match = _KEY.fullmatch(header.strip())
    if match is None:
        raise BadIdempotencyKey
    key = match.group(1)
    secret: str = settings.COMMAND_DIGEST_SECRET
    return hmac.digest(secret.encode(), f"{namespace}\0{key}".encode(), "sha256").hex() if namespace else key

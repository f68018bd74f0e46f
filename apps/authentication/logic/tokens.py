"""Issuing and checking tokens. An access token is a JWT signed with RS256; a refresh token is an id and a MAC over it.

Both can be derived again from the stored record, so no stored answer contains a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from apps.authentication import interface, models
from apps.authentication.logic import devices
from apps.core.interface.dto import Dto, Instant
from apps.core.rest.keys import VERSION_CLAIM, AccessToken, keyring

_MAC_BYTES = 32


class Issued(Dto, tag="issued"):
    """The stored record of an issued pair, from which the pair can be derived again."""

    user_id: uuid.UUID
    roles: tuple[str, ...]
    locale: str
    refresh_id: uuid.UUID
    issued_at: Instant
    device_id: uuid.UUID | None = None
    token_version: int = 0


def pair(issued: Issued) -> interface.TokenPair:
    """The tokens of a stored record; the same tokens each time."""
    lifetime = access_lifetime()
    token = AccessToken()
    token.set_iat(at_time=issued.issued_at)
    token.set_exp(from_time=issued.issued_at, lifetime=lifetime)
    token["jti"] = issued.refresh_id.hex
    token["sub"] = str(issued.user_id)
    token["roles"] = list(issued.roles)
    token["locale"] = issued.locale
    token[VERSION_CLAIM] = issued.token_version
    return interface.TokenPair(
        user_id=issued.user_id,
        access_token=str(token),
        refresh_token=refresh_token(issued.refresh_id),
        expires_in=int(lifetime.total_seconds()),
        device_token=_device_token(issued),
    )


def _device_token(issued: Issued) -> str:
    user = models.User.objects.filter(id=issued.user_id).first() if issued.device_id else None
    return devices.token(user, issued.device_id) if user else ""


def outcome(stored: Issued | interface.Refused) -> interface.TokenPair | interface.Refused:
    """The answer for a stored record."""
    return pair(stored) if isinstance(stored, Issued) else stored


def again(stored: Issued | interface.Refused) -> interface.TokenPair | interface.Refused:
    """The answer to a repeated request: the same tokens, unless they were revoked meanwhile."""
    if (
        isinstance(stored, Issued)
        and models.RefreshToken.objects.filter(id=stored.refresh_id, revoked_at__isnull=False).exists()
    ):
        return interface.Refused(reason=interface.Refusal.TOKEN_INVALID)
    return outcome(stored)


def issue(user: models.User, refresh_id: uuid.UUID, *, device_id: uuid.UUID | None = None) -> Issued:
    """A record of tokens issued now, with a device's where it logs in; a signing key's first use is recorded too."""
    models.SigningKey.objects.bulk_create([models.SigningKey(kid=keyring.kid)], ignore_conflicts=True)
    issued_at = timezone.now().replace(microsecond=0)
    return Issued(
        user_id=user.id,
        roles=tuple(user.roles),
        locale=user.locale,
        refresh_id=refresh_id,
        issued_at=issued_at,
        device_id=device_id,
        token_version=user.token_version,
    )


def access_lifetime() -> timedelta:
    """How long an access token lives."""
    lifetime: timedelta = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]
    return lifetime


def refresh_lifetime() -> timedelta:
    """How long a refresh token lives."""
    lifetime: timedelta = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    return lifetime


def refresh_token(token_id: uuid.UUID) -> str:
    """The refresh token of an id: base64url of 16 bytes of id and 32 of HMAC-SHA-256."""
    return base64.urlsafe_b64encode(token_id.bytes + _mac(token_id)).decode().rstrip("=")


def read_refresh_token(token: str) -> uuid.UUID | None:
    """The id in a refresh token, or None when its form or MAC is wrong."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 16 + _MAC_BYTES:
        return None
    token_id = uuid.UUID(bytes=raw[:16])
    return token_id if hmac.compare_digest(raw[16:], _mac(token_id)) else None


def _mac(token_id: uuid.UUID) -> bytes:
    return hmac.digest(settings.REFRESH_TOKEN_SECRET.encode(), token_id.bytes, hashlib.sha256)

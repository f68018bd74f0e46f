"""Devices from which a person has logged in before: the lock-out that strangers cause does not concern them.

A token names the person and the device, and ends with the password: it has a MAC over both and the password's time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid

from django.conf import settings

from apps.authentication.models import User
from apps.core.ids import new_id

_MAC_BYTES = 16


def token(user: User, device: uuid.UUID | None = None) -> str:
    """A token for a person's device, new unless given: base64url of the device's id and a MAC."""
    device = device or new_id()
    return base64.urlsafe_b64encode(device.bytes + _mac(user, device)).decode().rstrip("=")


def device_of(text: str, user: User | None) -> uuid.UUID | None:
    """The device, where the token is this person's; None for any other text."""
    if not text or user is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 16 + _MAC_BYTES:
        return None
    device = uuid.UUID(bytes=raw[:16])
    return device if hmac.compare_digest(raw[16:], _mac(user, device)) else None


def _mac(user: User, device: uuid.UUID) -> bytes:
    words = f"device\0{user.id}\0{device}\0{user.password_changed_at.isoformat()}"
    return hmac.digest(settings.REFRESH_TOKEN_SECRET.encode(), words.encode(), hashlib.sha256)[:_MAC_BYTES]

"""HMAC between a pair of services, over method, path, body and time (RFC 2104 with SHA-256).

A secret belongs to the ordered pair (caller, callee); it is derived from a master secret. The first master signs; all
listed ones verify, so a new one can be put in front while the old one is still in use.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from functools import cache

from django.conf import settings

MAX_AGE_MS = 30_000
VERSION = "v1"


class BadSeal(Exception):
    """The request is not authentic, too old, or from the future."""


@cache
def _pair_secret(master: str, caller: str, callee: str) -> bytes:
    return hmac.digest(master.encode(), f"{caller}>{callee}".encode(), "sha256")


def _seal(secret: bytes, method: str, path: str, at_ms: int, body: bytes) -> str:
    message = f"{VERSION}\n{method}\n{path}\n{at_ms}\n{hashlib.sha256(body).hexdigest()}"
    return f"{VERSION}={hmac.digest(secret, message.encode(), 'sha256').hex()}"


def seal(*, caller: str, callee: str, method: str, path: str, body: bytes) -> tuple[str, str]:
    """The values of `X-Seam-Time` (Unix milliseconds) and `X-Seam-Signature` for a request."""
    at_ms = time.time_ns() // 1_000_000
    secret = _pair_secret(settings.SEAM_MASTER_SECRETS[0], caller, callee)
    return str(at_ms), _seal(secret, method, path, at_ms, body)


def check(*, caller: str, callee: str, method: str, path: str, body: bytes, at: str, signature: str) -> None:
    """Verify a request.

    Raises: BadSeal, without saying which part was wrong.
    """
    if not at.isascii() or not at.isdigit() or len(at) > 15:
        raise BadSeal
    at_ms = int(at)
    if abs(time.time_ns() // 1_000_000 - at_ms) > MAX_AGE_MS:
        raise BadSeal
    for master in settings.SEAM_MASTER_SECRETS:
        expected = _seal(_pair_secret(master, caller, callee), method, path, at_ms, body)
        if hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return
    raise BadSeal

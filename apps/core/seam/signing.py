"""HMAC between a pair of services, over method, path, time and the body's digest (RFC 2104 with SHA-256).

A secret belongs to the ordered pair (caller, callee). The monolith derives each from a master secret; a lifted-out
service has only the secrets of its own pairs, so that it cannot act for another service. The first secret of a pair
signs and all listed ones verify, so a new one is first added everywhere, then put first, then the old one is removed.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

from apps.core.interface.errors import SeamError

MAX_AGE_MS = 30_000
VERSION = "v1"
MONOLITH = "monolith"


class BadSeal(Exception):
    """The request is not authentic, too old, or from the future."""


# Bounded: a caller names itself before its signature is checked.
@lru_cache(maxsize=256)
def _pair_secret(master: str, caller: str, callee: str) -> bytes:
    return hmac.digest(master.encode(), f"{caller}>{callee}".encode(), "sha256")


def secrets_of(caller: str, callee: str) -> tuple[bytes, ...]:
    """The secrets of a pair, the signing one first; none for a pair that this process does not know."""
    configured = settings.SEAM_PAIR_SECRETS.get(f"{caller}>{callee}")
    if configured is not None:
        return _from_hex(tuple(configured))
    return tuple(_pair_secret(master, caller, callee) for master in settings.SEAM_MASTER_SECRETS)


@lru_cache(maxsize=256)
def _from_hex(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(secret) for secret in secrets)


@lru_cache(maxsize=256)
def _keyed(secret: bytes) -> hmac.HMAC:
    """An HMAC with its key set, to be copied."""
    return hmac.new(secret, digestmod="sha256")


def pairs_of(service: str, others: Iterable[str]) -> dict[str, list[str]]:
    """The secrets that one service needs, in hex, as `SEAM_PAIR_SECRETS` takes them.

    They cover calls to it, by the monolith and by the others, and its calls to the others, local or remote.
    """
    named = [other for other in others if other != service]
    pairs = [(MONOLITH, service), *((other, service) for other in named), *((service, other) for other in named)]
    return {f"{caller}>{callee}": [secret.hex() for secret in secrets_of(caller, callee)] for caller, callee in pairs}


def digest_of(body: bytes) -> str:
    """The value of `X-Seam-Body-SHA256`: the body's SHA-256 in lower-case hex."""
    return hashlib.sha256(body).hexdigest()


def _seal(secret: bytes, method: str, path: str, at_ms: int, digest: str) -> str:
    sealed = _keyed(secret).copy()
    sealed.update(f"{VERSION}\n{method}\n{path}\n{at_ms}\n{digest}".encode())
    return f"{VERSION}={sealed.hexdigest()}"


def seal(*, caller: str, callee: str, method: str, path: str, body: bytes, at_ms: int | None = None) -> tuple[str, str]:
    """The values of `X-Seam-Time` (Unix milliseconds, now unless given) and `X-Seam-Signature` for a request.

    Raises: SeamError when this process has no secret for the pair.
    """
    return seal_digest(caller=caller, callee=callee, method=method, path=path, digest=digest_of(body), at_ms=at_ms)


def seal_digest(
    *, caller: str, callee: str, method: str, path: str, digest: str, at_ms: int | None = None
) -> tuple[str, str]:
    """The same for a body whose digest is known. Raises: SeamError."""
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    secrets = secrets_of(caller, callee)
    if not secrets:
        raise SeamError(f"no secret is known for calls of {caller} to {callee}")
    return str(at_ms), _seal(secrets[0], method, path, at_ms, digest)


def check(*, caller: str, callee: str, method: str, path: str, body: bytes, at: str, signature: str) -> None:
    """Verify a request.

    Raises: BadSeal, without saying which part was wrong.
    """
    digest = digest_of(body)
    check_digest(caller=caller, callee=callee, method=method, path=path, digest=digest, at=at, signature=signature)


def check_digest(*, caller: str, callee: str, method: str, path: str, digest: str, at: str, signature: str) -> None:
    """Verify a request by the digest of its body, before the body has come. Raises: BadSeal."""
    if not at.isascii() or not at.isdigit() or len(at) > 15:
        raise BadSeal
    at_ms = int(at)
    if abs(time.time_ns() // 1_000_000 - at_ms) > MAX_AGE_MS:
        raise BadSeal
    for secret in secrets_of(caller, callee):
        expected = _seal(secret, method, path, at_ms, digest)
        if hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return
    raise BadSeal

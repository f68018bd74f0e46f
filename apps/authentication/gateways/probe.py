"""Whether the signing key makes signatures that its public half accepts, for `/readyz`."""

from __future__ import annotations

import secrets
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from django.conf import settings

from apps.core.health.probes import Dependency
from apps.core.rest.keys import keyring


class SignsWrongly(Exception):
    """The signing key does not make signatures that its public half accepts."""


def signing() -> tuple[Dependency, ...]:
    """The family `signing`, where tokens are issued."""
    return (Dependency("signing", _signs),) if settings.ISSUES_TOKENS else ()


@cache
def _signs() -> None:
    """Once: a key does not change while a process lives."""
    text = secrets.token_bytes(16)
    signature = keyring.signing.sign(text, PKCS1v15(), hashes.SHA256())
    try:
        keyring.public[keyring.kid].verify(signature, text, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, KeyError) as error:
        raise SignsWrongly from error

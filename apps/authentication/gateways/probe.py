"""The readiness probe of the signing key: its public half must accept its signatures."""

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
    """The public half of the signing key does not accept its signature."""


def signing() -> tuple[Dependency, ...]:
    """The dependencies of the family `signing`; none in a process that issues no tokens."""
    return (Dependency("signing", _signs),) if settings.ISSUES_TOKENS else ()


@cache
def _signs() -> None:
    """Sign and verify once: the key does not change while the process lives."""
    text = secrets.token_bytes(16)
    signature = keyring.signing.sign(text, PKCS1v15(), hashes.SHA256())
    try:
        keyring.public[keyring.kid].verify(signature, text, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, KeyError) as error:
        raise SignsWrongly from error

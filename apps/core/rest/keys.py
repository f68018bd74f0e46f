"""The keys of access tokens: any process verifies a token with the public key, without a secret and without a query.

A key's `kid` is its RFC 7638 thumbprint. The public keys of retired signing keys stay listed until the last token that
they signed has expired.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache, cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.tokens import AccessToken as BaseAccessToken

from apps.core.interface.dto import Dto

# The claim that says how often something had been taken from the person when the token was issued.
VERSION_CLAIM = "version"


class JsonWebKey(Dto):
    """A public key (RFC 7517)."""

    kty: str
    use: str
    alg: str
    kid: str
    n: str
    e: str


class JsonWebKeySet(Dto):
    """Public keys that sign or have signed access tokens."""

    keys: tuple[JsonWebKey, ...]


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def web_key(key: RSAPublicKey) -> JsonWebKey:
    """A public key as RFC 7517 writes it."""
    numbers = key.public_numbers()
    n, e = _base64url(numbers.n), _base64url(numbers.e)
    canonical = json.dumps({"e": e, "kty": "RSA", "n": n}, separators=(",", ":"), sort_keys=True)
    kid = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
    return JsonWebKey(kty="RSA", use="sig", alg="RS256", kid=kid, n=n, e=e)


class Keyring:
    """The signing key and every public key that still verifies tokens."""

    @cached_property
    def signing(self) -> RSAPrivateKey:
        key = load_pem_private_key(settings.JWT_SIGNING_KEY.encode(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError("JWT_SIGNING_KEY is an RSA private key in PEM")
        return key

    @cached_property
    def kid(self) -> str:
        return web_key(self.signing.public_key()).kid

    @cached_property
    def public(self) -> dict[str, RSAPublicKey]:
        # Only the process that issues tokens holds the signing key; the others hold its public key.
        keys = [self.signing.public_key()] if settings.JWT_SIGNING_KEY else []
        for pem in settings.JWT_RETIRED_PUBLIC_KEYS:
            retired = load_pem_public_key(pem.encode())
            if isinstance(retired, RSAPublicKey):
                keys.append(retired)
        return {web_key(key).kid: key for key in keys}

    def key_set(self) -> JsonWebKeySet:
        """The content of `/.well-known/jwks.json`."""
        return JsonWebKeySet(keys=tuple(web_key(key) for key in self.public.values()))


keyring = Keyring()


class KeyedBackend(TokenBackend):
    """simplejwt's backend with a `kid` in the header, and a verifying key chosen by it."""

    def __init__(self) -> None:
        options = settings.SIMPLE_JWT
        super().__init__(
            options["ALGORITHM"],
            issuer=options["ISSUER"],
            audience=options["AUDIENCE"],
            leeway=options["LEEWAY"],
        )

    def encode(self, payload: dict[str, Any]) -> str:
        """A signed token."""
        claims = {**payload, "aud": self.audience, "iss": self.issuer}
        return jwt.encode(claims, keyring.signing, algorithm="RS256", headers={"kid": keyring.kid})

    def get_verifying_key(self, token: Any) -> Any:
        """The public key that the token's header names. Raises: TokenBackendError."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenBackendError("not a token") from error
        key = keyring.public.get(str(header.get("kid")))
        if key is None:
            raise TokenBackendError("an unknown key")
        return key


@cache
def _backend() -> KeyedBackend:
    return KeyedBackend()


class AccessToken(BaseAccessToken):
    """The platform's access token."""

    @property
    def token_backend(self) -> TokenBackend:
        return _backend()

    def get_token_backend(self) -> TokenBackend:
        """The same, by simplejwt's older name."""
        return self.token_backend

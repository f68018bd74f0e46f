"""Converts the public keys of a key set (RFC 7517) to PEM, for gateways that do not fetch one."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PATIENCE_SECONDS = 5
MAX_BYTES = 1024 * 1024
ALGORITHM = "RS256"


class NoKeys(Exception):
    """The key set cannot be read, or has no key that verifies our tokens."""


class PublicKey(msgspec.Struct, frozen=True):
    """A key, its id, and its one algorithm."""

    kid: str
    algorithm: str
    pem: str


def load(source: str) -> tuple[PublicKey, ...]:
    """The keys of a file or an http(s) address, in the order of their ids. Raises: NoKeys."""
    try:
        return parse(_read(source))
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NoKeys(f"{source}: {error}") from error


def parse(content: bytes) -> tuple[PublicKey, ...]:
    """The keys of a set. A private key is refused, because it must not reach a gateway. Raises: NoKeys."""
    try:
        entries = msgspec.json.decode(content, type=dict[str, list[dict[str, Any]]])["keys"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise NoKeys(f"not a key set (RFC 7517): {error}") from error
    if any("d" in entry or entry.get("kty") == "oct" for entry in entries):
        raise NoKeys("there is a secret key among them")
    keys = [_public(entry) for entry in entries if _is_ours(entry)]
    if not keys:
        raise NoKeys(f"no {ALGORITHM} key with a kid")
    return tuple(sorted(keys, key=lambda key: key.kid))


def _read(source: str) -> bytes:
    if not source.startswith(("http://", "https://")):
        return Path(source).read_bytes()
    with urllib.request.urlopen(source, timeout=PATIENCE_SECONDS) as answer:
        content: bytes = answer.read(MAX_BYTES)
        return content


def _is_ours(entry: dict[str, Any]) -> bool:
    usual = entry.get("alg", ALGORITHM) == ALGORITHM and entry.get("use", "sig") == "sig"
    return entry.get("kty") == "RSA" and usual and bool(entry.get("kid"))


def _public(entry: dict[str, Any]) -> PublicKey:
    try:
        key = jwt.PyJWK(entry, algorithm=ALGORITHM).key
    except (jwt.PyJWKError, jwt.InvalidKeyError, ValueError) as error:
        raise NoKeys(f"the key {entry['kid']} cannot be read: {error}") from error
    if not isinstance(key, RSAPublicKey):
        raise NoKeys(f"the key {entry['kid']} is no RSA public key")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return PublicKey(kid=str(entry["kid"]), algorithm=ALGORITHM, pem=pem)

"""Verifies signature values: RSA PKCS#1 v1.5 and PSS (RFC 8017), ECDSA P-256 (FIPS 186-5, DER), Ed25519 (RFC 8032).

SHA-1 and short keys are never accepted. The algorithm is determined by trying those that the key allows.
"""

from __future__ import annotations

import hashlib
import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from apps.signatures.interface import Algorithm

MIN_RSA_BITS = 2048
CHUNK_BYTES = 256 * 1024
A = Algorithm
_HASHES: tuple[type[hashes.HashAlgorithm], ...] = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PKCS1 = (A.RSA_PKCS1_SHA256, A.RSA_PKCS1_SHA384, A.RSA_PKCS1_SHA512)
_PSS = (A.RSA_PSS_SHA256, A.RSA_PSS_SHA384, A.RSA_PSS_SHA512)
_ECDSA = (A.ECDSA_SHA256, A.ECDSA_SHA384, A.ECDSA_SHA512)


class WeakKey(Exception):
    """The key's type or length is not accepted."""


class Content:
    """The document as a file, and its digests, each computed once and in chunks: it is never held whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digests: dict[str, bytes] = {}

    def digest(self, algorithm: hashes.HashAlgorithm) -> bytes:
        """The digest by an algorithm."""
        if algorithm.name not in self._digests:
            self._file.seek(0)
            digest = hashlib.new(algorithm.name)
            while chunk := self._file.read(CHUNK_BYTES):
                digest.update(chunk)
            self._digests[algorithm.name] = digest.digest()
        return self._digests[algorithm.name]

    @contextmanager
    def whole(self) -> Iterator[bytes | memoryview]:
        """All bytes, for a signature over the message itself; those on disk are mapped, not read."""
        try:
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except (io.UnsupportedOperation, ValueError):  # in memory, or empty
            self._file.seek(0)
            yield self._file.read()
        else:
            with mapped, memoryview(mapped) as body:
                yield body


def verify(certificate: x509.Certificate, value: bytes, content: Content) -> Algorithm | None:
    """The algorithm by which the signature verifies, or None.

    Raises: WeakKey.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise WeakKey("an unknown kind of key") from error
    return next(_verifying_algorithms(key, value, content), None)


def _verifying_algorithms(key: object, value: bytes, content: Content) -> Iterator[Algorithm]:
    if isinstance(key, ed25519.Ed25519PublicKey):
        with content.whole() as body:
            verifies = _verifies_ed25519(key, value, body)
        if verifies:
            yield A.ED25519
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise WeakKey(f"an RSA key of {key.key_size} bits")
        for index, kind in enumerate(_HASHES):
            if _verifies_rsa(key, value, content, kind(), padding.PKCS1v15()):
                yield _PKCS1[index]
            # Any salt length: OpenSSL's default is the longest that fits, other software uses the digest's.
            if _verifies_rsa(key, value, content, kind(), padding.PSS(padding.MGF1(kind()), padding.PSS.AUTO)):
                yield _PSS[index]
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise WeakKey(f"the curve {key.curve.name}")
        for index, kind in enumerate(_HASHES):
            if _verifies_ecdsa(key, value, content, kind()):
                yield _ECDSA[index]
    else:
        raise WeakKey(type(key).__name__)


def _verifies_ed25519(key: ed25519.Ed25519PublicKey, value: bytes, body: bytes | memoryview) -> bool:
    try:
        key.verify(value, body)
    except InvalidSignature:
        return False
    return True


def _verifies_rsa(
    key: rsa.RSAPublicKey,
    value: bytes,
    content: Content,
    algorithm: hashes.HashAlgorithm,
    scheme: padding.AsymmetricPadding,
) -> bool:
    try:
        key.verify(value, content.digest(algorithm), scheme, utils.Prehashed(algorithm))
    except (InvalidSignature, ValueError):
        return False
    return True


def _verifies_ecdsa(
    key: ec.EllipticCurvePublicKey, value: bytes, content: Content, algorithm: hashes.HashAlgorithm
) -> bool:
    try:
        key.verify(value, content.digest(algorithm), ec.ECDSA(utils.Prehashed(algorithm)))
    except (InvalidSignature, ValueError):
        return False
    return True

"""Signature values by kind of key, padding and digest; weak keys and old digests."""

import io
import tempfile
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apps.signatures.interface import Algorithm
from apps.signatures.logic import crypto
from apps.signatures.tests.certificates import issue, name

BODY = "Договор купли-продажи земельного участка".encode()
HASHES = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ISSUER = issue(name("Issuer"))
EC = ec.generate_private_key(ec.SECP256R1())


def algorithm(key, value: bytes, body: bytes = BODY) -> Algorithm | None:
    certificate = issue(name("Signer"), ISSUER, key=key).certificate
    return crypto.verify(certificate, value, crypto.Content(io.BytesIO(body)))


def pss(digest: hashes.HashAlgorithm, salt: object) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), salt)


@pytest.mark.parametrize("digest", HASHES)
def test_rsa_with_either_padding(digest: str):
    chosen = HASHES[digest]
    pkcs1 = RSA.sign(BODY, padding.PKCS1v15(), chosen)
    assert algorithm(RSA, pkcs1) is Algorithm[f"RSA_PKCS1_{digest}"]
    for salt in (padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH, 0):
        assert algorithm(RSA, RSA.sign(BODY, pss(chosen, salt), chosen)) is Algorithm[f"RSA_PSS_{digest}"]
    assert algorithm(RSA, pkcs1, BODY + b" ") is None


@pytest.mark.parametrize("digest", HASHES)
def test_ecdsa_on_p256(digest: str):
    value = EC.sign(BODY, ec.ECDSA(HASHES[digest]))
    assert algorithm(EC, value) is Algorithm[f"ECDSA_{digest}"]
    assert algorithm(EC, value, BODY[:-1]) is None


def test_ed25519():
    key = ed25519.Ed25519PrivateKey.generate()
    assert algorithm(key, key.sign(BODY)) is Algorithm.ED25519
    assert algorithm(key, key.sign(BODY + b"x")) is None


def test_a_digest_of_sha1_counts_for_nothing():
    assert algorithm(RSA, RSA.sign(BODY, padding.PKCS1v15(), hashes.SHA1())) is None
    assert algorithm(EC, EC.sign(BODY, ec.ECDSA(hashes.SHA1()))) is None


@pytest.mark.parametrize(
    "make_key",
    [
        partial(rsa.generate_private_key, public_exponent=65537, key_size=1024),
        partial(ec.generate_private_key, ec.SECP384R1()),
        ed448.Ed448PrivateKey.generate,
        partial(dsa.generate_private_key, key_size=2048),
    ],
    ids=["RSA of 1024 bits", "P-384", "Ed448", "DSA"],
)
def test_a_key_that_is_short_or_of_another_kind_is_weak(make_key):
    with pytest.raises(crypto.WeakKey):
        algorithm(make_key(), b"x" * 64)


@pytest.mark.parametrize(("bits", "is_weak"), [(2047, True), (2048, False)])
def test_an_rsa_key_has_2048_bits(bits: int, is_weak: bool):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    value = key.sign(BODY, padding.PKCS1v15(), hashes.SHA256())
    if is_weak:
        with pytest.raises(crypto.WeakKey):
            algorithm(key, value)
    else:
        assert algorithm(key, value) is Algorithm.RSA_PKCS1_SHA256


@pytest.mark.parametrize("at", ["the kind of key", "the key"])
def test_a_key_that_no_library_reads_is_weak(at: str):
    der = issue(name("Signer"), ISSUER, key=EC).certificate.public_bytes(Encoding.DER)
    oid = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey (RFC 5480)
    point = EC.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    old, new = (oid, oid[:-1] + b"\x7f") if at == "the kind of key" else (point, point[:-1] + bytes([point[-1] ^ 1]))
    assert der.count(old) == 1
    with pytest.raises(crypto.WeakKey):
        crypto.verify(x509.load_der_x509_certificate(der.replace(old, new)), b"x", crypto.Content(io.BytesIO(BODY)))


def test_a_document_on_disk_is_verified_as_one_in_memory():
    key = ed25519.Ed25519PrivateKey.generate()
    body = BODY * 5_000
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(body)
        for signer, value in (
            (key, key.sign(body)),
            (EC, EC.sign(body, ec.ECDSA(hashes.SHA384()))),
            (key, key.sign(body[:-1])),
        ):
            certificate = issue(name("Signer"), ISSUER, key=signer).certificate
            expected = algorithm(signer, value, body)
            assert crypto.verify(certificate, value, crypto.Content(file)) is expected
            assert (expected is None) == (value == key.sign(body[:-1]))

"""Certificate authorities and signers for demonstrations and tests: real keys, real X.509, fictitious people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
DAY = timedelta(days=1)


def new_key(kind: str) -> Key:
    """A key: `rsa`, `ec` (P-256) or `ed25519`."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else ed25519.Ed25519PrivateKey.generate()


class Signer(NamedTuple):
    """A person with a key and a certificate."""

    key: Key
    certificate: x509.Certificate

    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def sign(self, body: bytes, *, pss: bool = False) -> bytes:
        """A detached signature over the bytes, with SHA-256 where the algorithm takes a digest."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return self.key.sign(body, salted if pss else padding.PKCS1v15(), hashes.SHA256())
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(body, ec.ECDSA(hashes.SHA256()))
        return self.key.sign(body)

    def save(self, folder: Path, name: str) -> None:
        """Write key and certificate as PEM files that only their owner can read."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for suffix, content in (("key.pem", key), ("crt.pem", self.pem().encode())):
            file = folder / f"{name}.{suffix}"
            file.touch(mode=0o600)
            file.write_bytes(content)


class Authority:
    """A certificate authority with a key of its own."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = _now()
        builder = self._builder(self.subject, self.key.public_key(), now - DAY, now + 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        self.certificate = builder.add_extension(_usage(authority=True), critical=True).sign(self.key, hashes.SHA256())

    def pem(self) -> str:
        """The authority's certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        name: str,
        email: str | None,
        kind: str,
        *,
        begins: timedelta = -DAY,
        ends: timedelta = 365 * DAY,
    ) -> Signer:
        """A certificate for a person; `begins` and `ends` are relative to now."""
        key = new_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = _now()
        builder = self._builder(subject, key.public_key(), now + begins, now + ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        if email is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(email)]), critical=False)
        return Signer(key, builder.sign(self.key, hashes.SHA256()))

    def revoke(self, *certificates: x509.Certificate) -> str:
        """A revocation list of these certificates, as PEM."""
        now = _now()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject)
        builder = builder.last_update(now - DAY).next_update(now + 30 * DAY)
        for certificate in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, key: object, begins: datetime, ends: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject)
        builder = builder.public_key(key).serial_number(x509.random_serial_number())  # type: ignore[arg-type]  # any kind of public key
        return builder.not_valid_before(begins).not_valid_after(ends)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )

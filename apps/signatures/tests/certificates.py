"""Certificates and revocation lists of any make: wrong ones too, which `landcontracts.demo.certificates` never issues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Issued(NamedTuple):
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()


def name(text: str, email: str = "") -> x509.Name:
    """A name of a common name and, where given, an address."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, text)]
    if email:
        attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    return x509.Name(attributes)


def issue(
    subject: x509.Name,
    issuer: Issued | None = None,
    *,
    key: Any = None,
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + 30 * DAY,
    ca: bool | None = False,
    path_length: int | None = None,
    uses: tuple[str, ...] | None = ("digital_signature",),
    addresses: tuple[str, ...] = (),
    found_at: str = "",
    serial: int | None = None,
) -> Issued:
    """A certificate, self-signed without an issuer. `ca` and `uses` None leave the extension out.

    `found_at` is the address under which the certificate says that its issuer and the lists of revoked ones are.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject)
    builder = builder.issuer_name(subject if issuer is None else issuer.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
    builder = builder.not_valid_before(begins).not_valid_after(ends)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if uses is not None:
        usage = x509.KeyUsage(**{use: use in uses for use in USES})
        builder = builder.add_extension(usage, critical=True)
    if addresses:
        names = [x509.RFC822Name(address) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if found_at:
        place = x509.UniformResourceIdentifier(found_at)
        description = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        point = x509.DistributionPoint(full_name=[place], relative_name=None, reasons=None, crl_issuer=None)
        builder = builder.add_extension(x509.AuthorityInformationAccess([description]), critical=False)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return Issued(key, builder.sign(key if issuer is None else issuer.key, hashes.SHA256()))


def authority(text: str = "Authority", issuer: Issued | None = None, **options: Any) -> Issued:
    """An authority, self-signed or below another."""
    return issue(name(text), issuer, ca=True, uses=("key_cert_sign", "crl_sign"), **options)


def revocations(
    issuer: Issued,
    *certificates: x509.Certificate,
    updated: datetime = NOW - DAY,
    next_update: datetime = NOW + 30 * DAY,
) -> x509.CertificateRevocationList:
    """A list of revoked certificates."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(updated).next_update(next_update)
    for certificate in certificates:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(updated).build())
    return builder.sign(issuer.key, hashes.SHA256())

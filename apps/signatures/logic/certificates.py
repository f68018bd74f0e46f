"""Reading certificates: PEM or base64 of DER, the signer's first and any intermediates after it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from apps.signatures.interface import BadCertificate, CertificateInfo

_MAX_CHAIN = 6
_MAX_SERIAL_BITS = 160


def read_chain(text: str) -> list[x509.Certificate]:
    """The certificates in a submission, the signer's first. Raises: BadCertificate."""
    try:
        if "-----BEGIN" in text:
            chain = x509.load_pem_x509_certificates(text.encode("ascii"))
        else:
            der = base64.b64decode(re.sub(r"\s+", "", text), validate=True)
            chain = [x509.load_der_x509_certificate(der)]
        for certificate in chain:
            _parse_fully(certificate)
    except (ValueError, UnicodeError, binascii.Error, x509.UnsupportedGeneralNameType, x509.DuplicateExtension):
        raise BadCertificate from None
    if not chain or len(chain) > _MAX_CHAIN:
        raise BadCertificate
    return chain


def _parse_fully(certificate: x509.Certificate) -> None:
    # The library parses lazily: a broken field shows only when it is read.
    _ = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.extensions
    if certificate.serial_number.bit_length() > _MAX_SERIAL_BITS:
        raise ValueError("a serial number of more than 20 octets (RFC 5280, section 4.1.2.2)")


def info(certificate: x509.Certificate) -> CertificateInfo:
    """The identity and dates in a certificate."""
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=fingerprint(certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def pem(chain: list[x509.Certificate]) -> str:
    """A chain as stored: PEM, the signer's certificate first."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints says CA (RFC 5280, section 4.2.1.9)."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    except x509.ExtensionNotFound:
        return False
    return isinstance(extension.value, x509.BasicConstraints) and extension.value.ca


def addresses(certificate: x509.Certificate) -> set[str]:
    """The e-mail addresses that a certificate names, in lower case (RFC 5280, section 4.2.1.6)."""
    in_subject = {
        str(attribute.value).lower() for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    }
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return in_subject
    return in_subject | {address.lower() for address in alternative.get_values_for_type(x509.RFC822Name)}

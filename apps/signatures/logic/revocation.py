"""Certificate revocation lists (RFC 5280, section 5): reading, checking the issuer, storing the newest."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from apps.core.ids import new_id
from apps.signatures.interface import BadRevocationList
from apps.signatures.logic.certificates import fingerprint
from apps.signatures.models import RevocationList


class Published:
    """A list whose signature was checked against a known authority."""

    def __init__(self, crl: x509.CertificateRevocationList, authority: x509.Certificate) -> None:
        self.authority = fingerprint(authority)
        self.crl = tuple(crl)
        self.issuer = crl.issuer.rfc4514_string()
        self.der = crl.public_bytes(Encoding.DER)
        self.this_update = crl.last_update_utc


def read(text: str, authorities: list[x509.Certificate]) -> Published:
    """Read a list in PEM or base64 of DER, and check its signature. Raises: BadRevocationList."""
    try:
        if "-----BEGIN" in text:
            crl = x509.load_pem_x509_crl(text.encode("ascii"))
        else:
            crl = x509.load_der_x509_crl(base64.b64decode(re.sub(r"\s+", "", text), validate=True))
        for authority in authorities:
            if authority.subject == crl.issuer and _signed_by(crl, authority):
                return Published(crl, authority)
    except (ValueError, UnicodeError, binascii.Error):
        raise BadRevocationList from None
    raise BadRevocationList


def _signed_by(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # any key type answers False
    except (InvalidSignature, TypeError, ValueError):
        return False


def store_newest(published: Published) -> None:
    """Store the list unless a newer one of the same authority is stored."""
    row, created = RevocationList.objects.select_for_update().get_or_create(
        authority=published.authority,
        defaults={
            "id": new_id(),
            "issuer": published.issuer,
            "der": published.der,
            "this_update": published.this_update,
        },
    )
    if not created and row.this_update <= published.this_update:
        row.der = published.der
        row.this_update = published.this_update
        row.save(update_fields=["der", "this_update"])

"""Checks that a trusted authority issued a certificate for signing, and that it is valid and not revoked (RFC 5280, 6).

Path validation is pyhanko-certvalidator's. Revocation is looked up here, in the lists that administrators published:
the validator only follows the distribution points that a certificate names, and nothing is fetched.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    ExpiredError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    PathValidationError,
    ValidationError,
)

from apps.signatures.interface import SubIndication, Verdict


class ChainFailure(Exception):
    """The certificate is not accepted."""

    def __init__(self, sub_indication: SubIndication, reason: str, verdict: Verdict = Verdict.FAILED) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.sub_indication = sub_indication
        self.reason = reason


def require_trusted(
    chain: list[x509.Certificate], *, anchors: list[x509.Certificate], revocations: list[bytes], at: datetime
) -> None:
    """Validate the signer's certificate (the first of the chain) as of `at`.

    Raises: ChainFailure.
    """
    try:
        _require_trusted(chain, anchors=anchors, revocations=revocations, at=at)
    except (
        ValueError,
        TypeError,
        KeyError,
    ) as error:  # a certificate that passed `read_chain` and still breaks a parser
        raise ChainFailure(SubIndication.FORMAT_FAILURE, "the certificate cannot be read") from error


def _require_trusted(
    chain: list[x509.Certificate], *, anchors: list[x509.Certificate], revocations: list[bytes], at: datetime
) -> None:
    signer, *intermediates = (_asn1(certificate) for certificate in chain)
    if chain[0].not_valid_before_utc > at:
        raise ChainFailure(SubIndication.NOT_YET_VALID, "the certificate is not valid yet")
    if chain[0].not_valid_after_utc < at:
        raise ChainFailure(SubIndication.EXPIRED, "the certificate has expired")
    context = ValidationContext(
        trust_roots=[_asn1(anchor) for anchor in anchors],
        moment=at,
        allow_fetching=False,
        weak_hash_algos={"md2", "md5", "sha1"},
    )
    validator = CertificateValidator(signer, intermediate_certs=intermediates, validation_context=context)
    _require_use(chain[0])
    _require_not_revoked(chain, revocations, at)
    try:
        asyncio.run(validator.async_validate_path())
    except ExpiredError as error:
        raise ChainFailure(SubIndication.EXPIRED, str(error)) from error
    except NotYetValidError as error:
        raise ChainFailure(SubIndication.NOT_YET_VALID, str(error)) from error
    except PathBuildingError as error:
        raise ChainFailure(SubIndication.NO_CERTIFICATE_CHAIN_FOUND, "no trusted authority issued it") from error
    except (InvalidCertificateError, PathValidationError, ValidationError) as error:
        raise ChainFailure(SubIndication.CHAIN_CONSTRAINTS_FAILURE, str(error)) from error


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _require_use(certificate: x509.Certificate) -> None:
    """Check that keyUsage, if present, allows signing (RFC 5280, section 4.2.1.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not (usage.digital_signature or usage.content_commitment):
        raise ChainFailure(SubIndication.CHAIN_CONSTRAINTS_FAILURE, "the certificate is not meant for signing")


def _require_not_revoked(chain: list[x509.Certificate], revocations: list[bytes], at: datetime) -> None:
    lists = [x509.load_der_x509_crl(der) for der in revocations]
    for certificate in chain:
        for crl in lists:
            if crl.issuer != certificate.issuer:
                continue
            if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise ChainFailure(SubIndication.REVOKED, "the certificate was revoked by its authority")
            if crl.next_update_utc is not None and crl.next_update_utc < at:
                reason = "the authority's revocation list is out of date"
                raise ChainFailure(SubIndication.TRY_LATER, reason, Verdict.INDETERMINATE)

"""The whole validation of one signature: its value, the certificate and its chain, and the certificate's holder."""

from __future__ import annotations

from datetime import datetime
from typing import IO
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from apps.core.interface.dto import Dto
from apps.signatures.interface import Algorithm, SubIndication, Verdict
from apps.signatures.logic import certificates, crypto
from apps.signatures.logic.chain import ChainFailure, require_trusted
from apps.signatures.models import Certificate, RevocationList, TrustAnchor

S = SubIndication


class Finding(Dto):
    """The result of a validation."""

    verdict: Verdict
    sub_indication: SubIndication
    reason: str
    algorithm: Algorithm


class Submission(Dto):
    """A signature to validate, with everything that is looked up beforehand."""

    signer_id: UUID
    signer_email: str
    expected_sha256: str
    value: bytes


def validate(submission: Submission, chain: list[x509.Certificate], file: IO[bytes], at: datetime) -> Finding:
    """Validate a signature as of `at`. The value comes first: a forged one says nothing about a certificate."""
    content = crypto.Content(file)
    if content.digest(hashes.SHA256()).hex() != submission.expected_sha256:
        return _failed(S.HASH_FAILURE, "the stored bytes are not those that were uploaded")
    try:
        algorithm = crypto.verify(chain[0], submission.value, content)
    except crypto.WeakKey as error:
        return _failed(S.CRYPTO_CONSTRAINTS_FAILURE, f"not accepted: {error}")
    if algorithm is None:
        return _failed(S.SIG_CRYPTO_FAILURE, "the signature does not fit the document and the certificate's key")
    try:
        require_trusted(chain, anchors=_anchors(), revocations=_revocations(), at=at)
    except ChainFailure as error:
        return Finding(
            verdict=error.verdict, sub_indication=error.sub_indication, reason=error.reason, algorithm=algorithm
        )
    if (reason := _belongs_to_another(submission, chain[0])) is not None:
        return _failed(S.SIGNER_MISMATCH, reason, algorithm)
    return Finding(verdict=Verdict.PASSED, sub_indication=S.NONE, reason="", algorithm=algorithm)


def _failed(sub_indication: SubIndication, reason: str, algorithm: Algorithm = Algorithm.UNKNOWN) -> Finding:
    return Finding(verdict=Verdict.FAILED, sub_indication=sub_indication, reason=reason, algorithm=algorithm)


def _belongs_to_another(submission: Submission, certificate: x509.Certificate) -> str | None:
    """Why the certificate is not the signer's, or None.

    A certificate that names addresses belongs to them; one that names none belongs to its first holder.
    """
    addresses = certificates.addresses(certificate)
    if addresses and submission.signer_email not in addresses:
        return "the certificate names another e-mail address"
    holder = Certificate.objects.filter(fingerprint=certificates.fingerprint(certificate)).first()
    if holder is not None and holder.holder_id not in {None, submission.signer_id}:
        return "the certificate belongs to another person"
    return None


def _anchors() -> list[x509.Certificate]:
    texts = TrustAnchor.objects.filter(is_active=True).values_list("certificate", flat=True)
    return [x509.load_pem_x509_certificate(text.encode()) for text in texts]


def _revocations() -> list[bytes]:
    return [bytes(der) for der in RevocationList.objects.values_list("der", flat=True)]

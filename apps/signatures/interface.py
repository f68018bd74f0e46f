"""Signatures on documents, with certificates and verdicts. The public file of `signatures`.

Here: errors, DTOs, events and the Protocol. Not here: when a contract counts as signed (`contracts`).
"""

from __future__ import annotations

import enum
from typing import Annotated, ClassVar, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.events import Event
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query

MAX_SIGNATURE_BYTES = 8192
SignatureBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_SIGNATURE_BYTES)]
AuthorityName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\u0000-\u001f]*$(?!\n)")]
RevocationText = Annotated[str, Meta(min_length=1, max_length=700_000)]
CertificateText = Annotated[str, Meta(min_length=1, max_length=60_000)]


class Verdict(LabelledEnum):
    """The main indication of a validation (ETSI EN 319 102-1, section 5.1.3, shortened)."""

    PASSED = "PASSED", gettext_noop("Valid")
    FAILED = "FAILED", gettext_noop("Not valid")
    INDETERMINATE = "INDETERMINATE", gettext_noop("Cannot be decided")


class SubIndication(LabelledEnum):
    """Why a verdict is not PASSED (ETSI EN 319 102-1, tables 5 and 6)."""

    NONE = ""
    FORMAT_FAILURE = "FORMAT_FAILURE", gettext_noop("The signature cannot be read.")
    HASH_FAILURE = "HASH_FAILURE", gettext_noop("The stored document is not the one that was uploaded.")
    SIG_CRYPTO_FAILURE = (
        "SIG_CRYPTO_FAILURE",
        gettext_noop(
            "The signature does not fit this document and this certificate: another key or another file was used."
        ),
    )
    CRYPTO_CONSTRAINTS_FAILURE = (
        "CRYPTO_CONSTRAINTS_FAILURE",
        gettext_noop(
            "The key is too weak or of a kind that is not accepted. Accepted are RSA from 2048 bits, P-256 and Ed25519."
        ),
    )
    NO_CERTIFICATE_CHAIN_FOUND = (
        "NO_CERTIFICATE_CHAIN_FOUND",
        gettext_noop("The certificate was not issued by an authority that is trusted here."),
    )
    CHAIN_CONSTRAINTS_FAILURE = (
        "CHAIN_CONSTRAINTS_FAILURE",
        gettext_noop("The certificate or its authority does not permit signing."),
    )
    NOT_YET_VALID = "NOT_YET_VALID", gettext_noop("The certificate is not valid yet.")
    EXPIRED = "EXPIRED", gettext_noop("The certificate has expired.")
    REVOKED = "REVOKED", gettext_noop("The certificate was revoked by its authority.")
    TRY_LATER = "TRY_LATER", gettext_noop("The authority's revocation list is out of date; it cannot be decided now.")
    SIGNER_MISMATCH = "SIG_CONSTRAINTS_FAILURE", gettext_noop("The certificate belongs to another person.")


class Algorithm(enum.StrEnum):
    """Signature algorithms that are verified; the digest is of the exact bytes of the document."""

    RSA_PKCS1_SHA256 = "RSA-PKCS1v15-SHA256"
    RSA_PKCS1_SHA384 = "RSA-PKCS1v15-SHA384"
    RSA_PKCS1_SHA512 = "RSA-PKCS1v15-SHA512"
    RSA_PSS_SHA256 = "RSA-PSS-SHA256"
    RSA_PSS_SHA384 = "RSA-PSS-SHA384"
    RSA_PSS_SHA512 = "RSA-PSS-SHA512"
    ECDSA_SHA256 = "ECDSA-SHA256"
    ECDSA_SHA384 = "ECDSA-SHA384"
    ECDSA_SHA512 = "ECDSA-SHA512"
    ED25519 = "Ed25519"
    UNKNOWN = "unknown"


class SignatureStatus(LabelledEnum):
    """`signed` only when the verdict at the time of signing was PASSED."""

    SIGNED = "signed", gettext_noop("Accepted")
    REFUSED = "refused", gettext_noop("Refused")


class CertificateInfo(Dto):
    """The identity and dates in a certificate. `fingerprint` is SHA-256 of its DER, in hex."""

    subject: str
    issuer: str
    serial_number: str
    not_before: Instant
    not_after: Instant
    fingerprint: str


class VerificationResult(Dto):
    """The result of one validation; `reason` is a sentence."""

    verdict: Verdict
    sub_indication: SubIndication
    reason: str
    checked_at: Instant


class Signature(Dto):
    """A signature as it was submitted, with any verdict: a refused one is evidence too."""

    id: UUID
    document_id: UUID
    contract_id: UUID
    signer_id: UUID
    status: SignatureStatus
    algorithm: Algorithm
    document_sha256: str
    certificate: CertificateInfo | None
    verification_result: VerificationResult
    created_at: Instant

    @property
    def counts(self) -> bool:
        """Whether the signature was accepted."""
        return self.status == SignatureStatus.SIGNED


class TrustAnchor(Dto):
    """A certificate authority whose signers are accepted."""

    id: UUID
    name: str
    certificate: CertificateInfo


class SignatureNotFound(DomainError, code="signature_not_found", category=Category.NOT_FOUND):
    """No such signature, or none that the actor may see."""

    message = gettext_noop("There is no such signature.")


class NotASigner(DomainError, code="not_a_signer", category=Category.FORBIDDEN):
    """The actor is neither seller nor buyer of the contract, or the contract is over."""

    message = gettext_noop("Only the seller and the buyer sign, while the contract is under way.")


class BadCertificate(DomainError, code="bad_certificate", category=Category.INVALID):
    """The text is not an X.509 certificate (RFC 5280) in PEM or in base64 of DER."""

    message = gettext_noop("This is not an X.509 certificate in PEM or in base64 of DER.")


class BadRevocationList(DomainError, code="bad_revocation_list", category=Category.INVALID):
    """The text is not a certificate revocation list, or not one of a known authority."""

    message = gettext_noop("This is not a revocation list signed by a known authority.")


class NotAnAuthority(DomainError, code="not_an_authority", category=Category.INVALID):
    """The certificate is not that of an authority (basicConstraints CA)."""

    message = gettext_noop("This certificate is not one of a certificate authority.")


class SignatureAccepted(Event):
    """A party's signature on a document passed verification."""

    TYPE: ClassVar[str] = "signatures.signature_accepted"
    signature_id: UUID
    document_id: UUID
    contract_id: UUID
    signer_id: UUID


class SignatureRefused(Event):
    """A submitted signature did not pass verification."""

    TYPE: ClassVar[str] = "signatures.signature_refused"
    signature_id: UUID
    document_id: UUID
    contract_id: UUID
    signer_id: UUID
    sub_indication: SubIndication


class SignaturesService(Protocol):
    """Signatures and the authorities trusted for them."""

    @command(timeout_ms=15_000, refused=lambda signature: not signature.counts)  # reads the whole document
    def sign(
        self, *, ctx: CallContext, document_id: UUID, signature_data: SignatureBytes, certificate: CertificateText
    ) -> Signature:
        """Verify a detached signature over the document's exact bytes, and store it with its verdict.

        `certificate` is PEM (the signer's first, then any intermediates) or base64 of one DER certificate.
        A signature that does not pass is stored as evidence and returned with status `refused`, not raised.

        Raises: documents' DocumentNotFound, NotASigner, BadCertificate, authentication's UserNotFound,
        documents' StorageUnavailable.
        """

    @query
    def get(self, *, ctx: CallContext, signature_id: UUID) -> Signature:
        """A signature with its first verdict. Raises: SignatureNotFound."""

    @query
    def for_documents(self, *, ctx: CallContext, document_ids: tuple[UUID, ...]) -> tuple[Signature, ...]:
        """The signatures of these documents, oldest first, for the contracts that the actor may see."""

    @command(timeout_ms=15_000)
    def verify(self, *, ctx: CallContext, signature_id: UUID) -> VerificationResult:
        """Check a signature again, now, and store the result.

        Raises: SignatureNotFound, BadCertificate, documents' DocumentNotFound, documents' StorageUnavailable.
        """

    @query
    def trust_anchors(self, *, ctx: CallContext) -> tuple[TrustAnchor, ...]:
        """The authorities trusted now."""

    @command
    def trust(self, *, ctx: CallContext, name: AuthorityName, certificate: CertificateText) -> TrustAnchor:
        """Trust an authority; administrators only. Raises: Forbidden, BadCertificate, NotAnAuthority."""

    @command(timeout_ms=10_000)
    def publish_revocations(self, *, ctx: CallContext, revocation_list: RevocationText) -> int:
        """Store an authority's CRL (PEM or base64 of DER); returns the number of revoked serials. Administrators only.

        Raises: Forbidden, BadRevocationList.
        """


SIGNATURES: ServiceKey[SignaturesService] = ServiceKey("signatures", SignaturesService)

"""Signatures in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

from uuid import UUID

from cryptography import x509
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION
from apps.contracts.interface import CONTRACTS
from apps.core.ids import new_id
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import Work, command
from apps.documents.interface import DOCUMENTS
from apps.signatures import mapping
from apps.signatures.gateways import document_bytes
from apps.signatures.interface import (
    AuthorityName,
    CertificateText,
    NotAnAuthority,
    NotASigner,
    RevocationText,
    Signature,
    SignatureAccepted,
    SignatureBytes,
    SignatureNotFound,
    SignatureRefused,
    SignatureStatus,
    SubIndication,
    TrustAnchor,
    Verdict,
    VerificationResult,
)
from apps.signatures.logic import certificates, revocation, validation
from apps.signatures.models import Certificate as CertificateRow
from apps.signatures.models import Signature as SignatureRow
from apps.signatures.models import TrustAnchor as TrustAnchorRow
from apps.signatures.models import Verification


class Signatures:
    """Implements `SignaturesService`."""

    def sign(
        self, *, ctx: CallContext, document_id: UUID, signature_data: SignatureBytes, certificate: CertificateText
    ) -> Signature:
        document = call(DOCUMENTS).get(ctx=ctx, document_id=document_id)
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(document.contract_id,))
        if ctx.actor.id is None or not rights or not rights[0].may_sign:
            raise NotASigner
        chain = certificates.read_chain(certificate)
        signer = call(AUTHENTICATION).get(ctx=ctx, user_id=ctx.actor.id)
        link = call(DOCUMENTS).download(ctx=ctx, document_id=document_id)
        now = timezone.now()
        submission = validation.Submission(
            signer_id=signer.id, signer_email=signer.email, expected_sha256=document.sha256, value=signature_data
        )
        with document_bytes.fetched(link.url) as file:
            finding = validation.validate(submission, chain, file, now)
        with command(ctx) as work:
            finding = _bind(chain, signer.id, finding)
            row = SignatureRow.objects.create(
                id=new_id(),
                document_id=document_id,
                contract_id=document.contract_id,
                signer_id=signer.id,
                status=_status(finding.verdict),
                algorithm=finding.algorithm,
                document_sha256=document.sha256,
                value=signature_data,
                certificate_id=certificates.fingerprint(chain[0]),
                verdict=finding.verdict,
                sub_indication=finding.sub_indication,
                reason=finding.reason,
                created_at=now,
            )
            _emit_verdict(work, row)
            return work.finish(mapping.signature(row))

    def get(self, *, ctx: CallContext, signature_id: UUID) -> Signature:
        return mapping.signature(_visible(ctx, signature_id))

    def for_documents(self, *, ctx: CallContext, document_ids: tuple[UUID, ...]) -> tuple[Signature, ...]:
        rows = list(SignatureRow.objects.select_related("certificate").filter(document_id__in=document_ids))
        contracts = tuple({row.contract_id for row in rows})
        if not contracts:
            return ()
        visible = {rights.contract_id for rights in call(CONTRACTS).rights(ctx=ctx, contract_ids=contracts)}
        return tuple(mapping.signature(row) for row in rows if row.contract_id in visible)

    def verify(self, *, ctx: CallContext, signature_id: UUID) -> VerificationResult:
        row = _visible(ctx, signature_id)
        document = call(DOCUMENTS).get(ctx=ctx, document_id=row.document_id)
        signers = call(AUTHENTICATION).recipients(ctx=ctx.as_actor(SYSTEM), user_ids=(row.signer_id,))
        link = call(DOCUMENTS).download(ctx=ctx, document_id=row.document_id)
        submission = validation.Submission(
            signer_id=row.signer_id,
            signer_email=signers[0].email if signers else "",
            expected_sha256=document.sha256,
            value=bytes(row.value),
        )
        now = timezone.now()
        with document_bytes.fetched(link.url) as file:
            finding = validation.validate(submission, certificates.read_chain(row.certificate.chain), file, now)
        result = VerificationResult(
            verdict=finding.verdict, sub_indication=finding.sub_indication, reason=finding.reason, checked_at=now
        )
        with command(ctx) as work:
            Verification.objects.create(
                signature=row,
                verdict=result.verdict,
                sub_indication=result.sub_indication,
                reason=result.reason,
                checked_at=now,
            )
            return work.finish(result)

    def trust_anchors(self, *, ctx: CallContext) -> tuple[TrustAnchor, ...]:
        return tuple(_anchor(row) for row in TrustAnchorRow.objects.filter(is_active=True).order_by("name"))

    def trust(self, *, ctx: CallContext, name: AuthorityName, certificate: CertificateText) -> TrustAnchor:
        _administrators_only(ctx)
        authority = certificates.read_chain(certificate)[0]
        if not certificates.is_authority(authority):
            raise NotAnAuthority
        with command(ctx) as work:
            row, _ = TrustAnchorRow.objects.update_or_create(
                fingerprint=certificates.fingerprint(authority),
                defaults={"name": name, "certificate": certificates.pem([authority]), "is_active": True},
            )
            return work.finish(_anchor(row))

    def publish_revocations(self, *, ctx: CallContext, revocation_list: RevocationText) -> int:
        _administrators_only(ctx)
        published = revocation.read(revocation_list, _authorities())
        with command(ctx) as work:
            revocation.store_newest(published)
            return work.finish(len(published.crl))


def _status(verdict: Verdict) -> SignatureStatus:
    return SignatureStatus.SIGNED if verdict == Verdict.PASSED else SignatureStatus.REFUSED


def _bind(chain: list[x509.Certificate], signer_id: UUID, finding: validation.Finding) -> validation.Finding:
    """Store the certificate and, if the signature passed, bind it to its holder.

    The row is locked, so that of two people who use one certificate at the same time the second is refused.
    """
    details = certificates.info(chain[0])
    CertificateRow.objects.get_or_create(
        fingerprint=details.fingerprint,
        defaults={
            "subject": details.subject,
            "issuer": details.issuer,
            "serial_number": details.serial_number,
            "not_before": details.not_before,
            "not_after": details.not_after,
            "chain": certificates.pem(chain),
        },
    )
    row = CertificateRow.objects.select_for_update().get(fingerprint=details.fingerprint)
    if finding.verdict != Verdict.PASSED:
        return finding
    if row.holder_id not in {None, signer_id}:
        return validation.Finding(
            verdict=Verdict.FAILED,
            sub_indication=SubIndication.SIGNER_MISMATCH,
            reason="the certificate belongs to another person",
            algorithm=finding.algorithm,
        )
    row.holder_id = signer_id
    row.chain = certificates.pem(chain)  # the chain that was validated, for later checks
    row.save(update_fields=["holder_id", "chain"])
    return finding


def _emit_verdict(work: Work, row: SignatureRow) -> None:
    event: SignatureAccepted | SignatureRefused
    if row.status == SignatureStatus.SIGNED:
        event = SignatureAccepted(
            signature_id=row.id, document_id=row.document_id, contract_id=row.contract_id, signer_id=row.signer_id
        )
    else:
        event = SignatureRefused(
            signature_id=row.id,
            document_id=row.document_id,
            contract_id=row.contract_id,
            signer_id=row.signer_id,
            sub_indication=SubIndication(row.sub_indication),
        )
    work.emit(event, aggregate_id=row.id)


def _visible(ctx: CallContext, signature_id: UUID) -> SignatureRow:
    row = SignatureRow.objects.select_related("certificate").filter(id=signature_id).first()
    if row is None or not call(CONTRACTS).rights(ctx=ctx, contract_ids=(row.contract_id,)):
        raise SignatureNotFound
    return row


def _authorities() -> list[x509.Certificate]:
    texts = TrustAnchorRow.objects.values_list("certificate", flat=True)
    return [x509.load_pem_x509_certificate(text.encode()) for text in texts]


def _anchor(row: TrustAnchorRow) -> TrustAnchor:
    details = certificates.info(x509.load_pem_x509_certificate(row.certificate.encode()))
    return TrustAnchor(id=row.id, name=row.name, certificate=details)


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden

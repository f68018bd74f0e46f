"""A fake of signatures for other apps' tests: the real cryptography, over bytes that a function returns."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from cryptography import x509

from apps.authentication.interface import AUTHENTICATION
from apps.contracts.interface import CONTRACTS
from apps.core.ids import new_id
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.documents.interface import DOCUMENTS
from apps.signatures.interface import (
    Algorithm,
    AuthorityName,
    CertificateText,
    NotAnAuthority,
    NotASigner,
    RevocationText,
    Signature,
    SignatureBytes,
    SignatureNotFound,
    SignatureStatus,
    SubIndication,
    TrustAnchor,
    Verdict,
    VerificationResult,
)
from apps.signatures.logic import certificates, chain, crypto, revocation


class FakeSignatures:
    """Implements `SignaturesService` in memory. `fetch` returns the bytes behind a download link's URL."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._signatures: dict[UUID, tuple[Signature, bytes, list[x509.Certificate]]] = {}
        self._anchors: dict[str, tuple[TrustAnchor, x509.Certificate]] = {}
        self._revocations: list[bytes] = []
        self._holders: dict[str, UUID] = {}

    def sign(
        self, *, ctx: CallContext, document_id: UUID, signature_data: SignatureBytes, certificate: CertificateText
    ) -> Signature:
        document = call(DOCUMENTS).get(ctx=ctx, document_id=document_id)
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(document.contract_id,))
        if ctx.actor.id is None or not rights or not rights[0].may_sign:
            raise NotASigner
        submitted = certificates.read_chain(certificate)
        algorithm, result = self._validate(ctx, document_id, signature_data, submitted, ctx.actor.id)
        details = certificates.info(submitted[0])
        passed = result.verdict == Verdict.PASSED
        if passed:
            self._holders[details.fingerprint] = ctx.actor.id
        signature = Signature(
            id=new_id(),
            document_id=document_id,
            contract_id=document.contract_id,
            signer_id=ctx.actor.id,
            status=SignatureStatus.SIGNED if passed else SignatureStatus.REFUSED,
            algorithm=algorithm,
            document_sha256=document.sha256,
            certificate=details,
            verification_result=result,
            created_at=result.checked_at,
        )
        self._signatures[signature.id] = (signature, signature_data, submitted)
        return signature

    def get(self, *, ctx: CallContext, signature_id: UUID) -> Signature:
        return self._visible(ctx, signature_id)[0]

    def for_documents(self, *, ctx: CallContext, document_ids: tuple[UUID, ...]) -> tuple[Signature, ...]:
        signatures = [
            signature for signature, _, _ in self._signatures.values() if signature.document_id in document_ids
        ]
        contracts = tuple({signature.contract_id for signature in signatures})
        visible = {rights.contract_id for rights in call(CONTRACTS).rights(ctx=ctx, contract_ids=contracts)}
        return tuple(signature for signature in signatures if signature.contract_id in visible)

    def verify(self, *, ctx: CallContext, signature_id: UUID) -> VerificationResult:
        signature, value, submitted = self._visible(ctx, signature_id)
        return self._validate(ctx, signature.document_id, value, submitted, signature.signer_id)[1]

    def trust_anchors(self, *, ctx: CallContext) -> tuple[TrustAnchor, ...]:
        return tuple(anchor for anchor, _ in self._anchors.values())

    def trust(self, *, ctx: CallContext, name: AuthorityName, certificate: CertificateText) -> TrustAnchor:
        _administrators_only(ctx)
        authority = certificates.read_chain(certificate)[0]
        if not certificates.is_authority(authority):
            raise NotAnAuthority
        details = certificates.info(authority)
        known = self._anchors.get(details.fingerprint)
        anchor = TrustAnchor(id=known[0].id if known else new_id(), name=name, certificate=details)
        self._anchors[details.fingerprint] = (anchor, authority)
        return anchor

    def publish_revocations(self, *, ctx: CallContext, revocation_list: RevocationText) -> int:
        _administrators_only(ctx)
        published = revocation.read(revocation_list, [authority for _, authority in self._anchors.values()])
        self._revocations.append(published.der)
        return len(published.crl)

    def _visible(self, ctx: CallContext, signature_id: UUID) -> tuple[Signature, bytes, list[x509.Certificate]]:
        stored = self._signatures.get(signature_id)
        if stored is None or not call(CONTRACTS).rights(ctx=ctx, contract_ids=(stored[0].contract_id,)):
            raise SignatureNotFound
        return stored

    def _validate(
        self, ctx: CallContext, document_id: UUID, value: bytes, submitted: list[x509.Certificate], signer_id: UUID
    ) -> tuple[Algorithm, VerificationResult]:
        body = self._fetch(call(DOCUMENTS).download(ctx=ctx, document_id=document_id).url)
        now = datetime.now(UTC)
        try:
            algorithm = crypto.verify(submitted[0], value, crypto.Content(io.BytesIO(body)))
        except crypto.WeakKey:
            return Algorithm.UNKNOWN, _failed(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, now)
        if algorithm is None:
            return Algorithm.UNKNOWN, _failed(SubIndication.SIG_CRYPTO_FAILURE, now)
        try:
            anchors = [authority for _, authority in self._anchors.values()]
            chain.require_trusted(submitted, anchors=anchors, revocations=self._revocations, at=now)
        except chain.ChainFailure as error:
            return algorithm, _failed(error.sub_indication, now, error.verdict)
        addresses = certificates.addresses(submitted[0])
        signers = call(AUTHENTICATION).recipients(ctx=ctx.as_actor(SYSTEM), user_ids=(signer_id,))
        holder = self._holders.get(certificates.fingerprint(submitted[0]), signer_id)
        if (addresses and not {signer.email for signer in signers} & set(addresses)) or holder != signer_id:
            return algorithm, _failed(SubIndication.SIGNER_MISMATCH, now)
        passed = VerificationResult(
            verdict=Verdict.PASSED, sub_indication=SubIndication.NONE, reason="", checked_at=now
        )
        return algorithm, passed


def _failed(sub_indication: SubIndication, at: datetime, verdict: Verdict = Verdict.FAILED) -> VerificationResult:
    return VerificationResult(
        verdict=verdict, sub_indication=sub_indication, reason=sub_indication.value, checked_at=at
    )


def _administrators_only(ctx: CallContext) -> None:
    if not ctx.actor.has("system", "administrator"):
        raise Forbidden

"""Signatures over REST."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from uuid import UUID

import msgspec
from django.utils.translation import gettext
from msgspec import Meta
from rest_framework.response import Response

from apps.core.interface.context import PATIENT_TIMEOUT_MS, CallContext
from apps.core.interface.dto import Dto, RequestBody
from apps.core.interface.errors import HTTP_STATUS, Category, gettext_noop
from apps.core.rest.endpoint import View, endpoint
from apps.core.rest.heavy import heavy
from apps.core.rest.problems import MEDIA_TYPE, FieldProblem, Unfit
from apps.core.seam.client.registry import call
from apps.signatures.interface import (
    MAX_SIGNATURE_BYTES,
    SIGNATURES,
    AuthorityName,
    CertificateText,
    RevocationText,
    Signature,
    TrustAnchor,
    VerificationResult,
)

REFUSED = gettext_noop("The signature did not pass verification and was not accepted.")


class NewSignature(RequestBody):
    """A detached signature over the document's exact bytes, base64; the certificate as PEM or as base64 of DER."""

    document_id: UUID
    signature_data: Annotated[str, Meta(min_length=1, max_length=16_384)]
    certificate: CertificateText


class SignatureAnswer(Dto):
    """A signature and the result of its verification."""

    signature_id: UUID
    status: str
    verification_result: VerificationResult
    signature: Signature


class OfDocument(Dto):
    """The document whose signatures to list."""

    document_id: UUID


class Sign(View):
    """POST signatures/sign."""

    @heavy()
    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewSignature) -> SignatureAnswer:
        """Sign a document. A signature that does not pass is stored as evidence and answered with 422."""
        signature = call(SIGNATURES).sign(
            ctx=ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS),
            document_id=body.document_id,
            signature_data=_decoded(body.signature_data),
            certificate=body.certificate,
        )
        answer = SignatureAnswer(
            signature_id=signature.id,
            status=signature.status.value,
            verification_result=signature.verification_result,
            signature=signature,
        )
        if signature.counts:
            return answer
        return _refused(answer, self.request.path)  # type: ignore[return-value]  # a finished response passes through


def _decoded(text: str) -> bytes:
    """Decode base64 as `base64` and `openssl base64` write it, in lines (RFC 2045, section 6.8). Raises: Unfit."""
    try:
        value = base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        value = b""
    if not 0 < len(value) <= MAX_SIGNATURE_BYTES:
        raise Unfit((FieldProblem(pointer="/signature_data", detail="Invalid base64 encoded string"),))
    return value


def _refused(answer: SignatureAnswer, path: str) -> Response:
    problem = {
        "type": "urn:landcontracts:problem:signature_refused",
        "title": gettext("Not valid"),
        # `status` belongs to RFC 9457 here; the signature's own is inside `signature`.
        **{name: value for name, value in msgspec.to_builtins(answer).items() if name != "status"},
        "status": HTTP_STATUS[Category.INVALID],
        "detail": gettext(REFUSED),
        "code": "signature_refused",
        "instance": path,
    }
    return Response(problem, status=problem["status"], content_type=MEDIA_TYPE)


class Signatures(View):
    """signatures?document_id=."""

    @endpoint()
    def get(self, ctx: CallContext, query: OfDocument) -> tuple[Signature, ...]:
        """The signatures of a document, including refused ones."""
        return call(SIGNATURES).for_documents(ctx=ctx, document_ids=(query.document_id,))


class SignatureDetail(View):
    """signatures/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, signature_id: UUID) -> Signature:
        """A signature with its first verdict."""
        return call(SIGNATURES).get(ctx=ctx, signature_id=signature_id)


class Verify(View):
    """signatures/{id}/verify."""

    @endpoint()
    def get(self, ctx: CallContext, signature_id: UUID) -> VerificationResult:
        """The verdict of the submission."""
        return call(SIGNATURES).get(ctx=ctx, signature_id=signature_id).verification_result

    @heavy()
    @endpoint()
    def post(self, ctx: CallContext, signature_id: UUID) -> VerificationResult:
        """Check the signature again, now."""
        ctx = ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS)
        return call(SIGNATURES).verify(ctx=ctx, signature_id=signature_id)


class NewTrustAnchor(RequestBody):
    """An authority to trust."""

    name: AuthorityName
    certificate: CertificateText


class TrustAnchors(View):
    """trust-anchors."""

    @endpoint()
    def get(self, ctx: CallContext) -> tuple[TrustAnchor, ...]:
        """The authorities trusted now."""
        return call(SIGNATURES).trust_anchors(ctx=ctx)

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewTrustAnchor) -> TrustAnchor:
        """Trust an authority; administrators only."""
        return call(SIGNATURES).trust(ctx=ctx, name=body.name, certificate=body.certificate)


class NewRevocationList(RequestBody):
    """A certificate revocation list, PEM or base64 of DER."""

    revocation_list: RevocationText


class RevocationCount(Dto):
    """How many serial numbers a list revokes."""

    revoked: int


class RevocationLists(View):
    """revocation-lists."""

    @heavy()
    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewRevocationList) -> RevocationCount:
        """Publish an authority's list; administrators only."""
        ctx = ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS)
        revoked = call(SIGNATURES).publish_revocations(ctx=ctx, revocation_list=body.revocation_list)
        return RevocationCount(revoked=revoked)

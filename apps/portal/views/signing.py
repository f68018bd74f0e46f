"""The page for signing a document, and checking a signature again.

Here: what a person sees before signing. Not here: signing itself, which happens in the browser (`sign.js`) or on the
person's own machine; the private key never reaches the server.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext

from apps.contracts.interface import CONTRACTS
from apps.core.interface.context import PATIENT_TIMEOUT_MS
from apps.core.rest.heavy import heavy
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStatus
from apps.portal import words
from apps.portal.views.documents import DocumentPage
from apps.portal.views.page import Page
from apps.signatures.interface import SIGNATURES, SubIndication, Verdict


class Sign(DocumentPage):
    """Signing one document."""

    def get(self, request: HttpRequest, contract_id: UUID, document_id: UUID) -> HttpResponseBase:
        """The document to sign, and the two ways to sign it."""
        document = self.document(contract_id, document_id)
        if document.status != DocumentStatus.UPLOADED:
            raise Http404
        rights = call(CONTRACTS).rights(ctx=self.ctx, contract_ids=(contract_id,))
        if not rights:
            raise Http404
        signatures = call(SIGNATURES).for_documents(ctx=self.ctx, document_ids=(document_id,))
        mine = [signature for signature in signatures if signature.counts and signature.signer_id == self.ctx.actor.id]
        return self.show(
            "sign.html",
            document=document,
            rights=rights[0],
            mine=mine[-1] if mine else None,
            reasons=[(code.value, words.of(code)) for code in SubIndication if code],
        )


class Verify(Page):
    """Checking a signature again, now."""

    http_method_names = ["post", "options"]

    @heavy()
    def post(self, request: HttpRequest, contract_id: UUID, signature_id: UUID) -> HttpResponseBase:
        """Check the signature and show the verdict."""
        result = call(SIGNATURES).verify(ctx=self.ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS), signature_id=signature_id)
        if result.verdict == Verdict.PASSED:
            messages.success(request, gettext("Checked just now: the signature is valid."))
        else:
            values = {"verdict": words.of(result.verdict), "reason": words.of(result.sub_indication)}
            messages.warning(request, gettext("Checked just now: %(verdict)s. %(reason)s") % values)
        return redirect("portal:contract", contract_id)

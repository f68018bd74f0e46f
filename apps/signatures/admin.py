"""Signatures and trusted authorities in the admin, read only; authorities are added through the interface."""

from __future__ import annotations

from django.contrib import admin

from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly, ReadOnlyInline
from apps.signatures.models import (
    Certificate,
    Command,
    Outbox,
    RevocationList,
    Signature,
    TrustAnchor,
    Verification,
)


class Verifications(ReadOnlyInline):
    """Later checks."""

    model = Verification
    fields = ("checked_at", "verdict", "sub_indication", "reason")


@admin.register(Signature)
class SignatureAdmin(ReadOnly):
    """Signatures, including refused ones."""

    list_display = ("created_at", "verdict", "sub_indication", "algorithm", "certificate", "document_id")
    list_filter = ("verdict", "algorithm", "sub_indication")
    list_select_related = ("certificate",)
    search_fields = ("document_id", "contract_id")
    exclude = ("value",)
    inlines = (Verifications,)


@admin.register(Certificate)
class CertificateAdmin(ReadOnly):
    """Signers' certificates."""

    list_display = ("subject", "issuer", "not_before", "not_after", "holder_id")
    search_fields = ("subject", "fingerprint")
    ordering = ("subject",)


@admin.register(TrustAnchor)
class TrustAnchorAdmin(ReadOnly):
    """Authorities; added by `POST /api/v1/trust-anchors`, where the certificate is checked."""

    list_display = ("name", "is_active", "fingerprint", "created_at")
    ordering = ("name",)


@admin.register(RevocationList)
class RevocationListAdmin(ReadOnly):
    """Revocation lists; published by `POST /api/v1/revocation-lists`, where the issuer is checked."""

    list_display = ("issuer", "this_update", "stored_at")
    exclude = ("der",)
    ordering = ("issuer",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)

"""Signatures, their later checks, trusted authorities, revocation lists, and this app's own commands and outbox."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord


class Certificate(models.Model):
    """A signer's certificate, bound to the first person whose signature with it passed."""

    fingerprint = models.CharField(_("SHA-256"), max_length=64, primary_key=True)
    holder_id = models.UUIDField(_("holder"), null=True)
    subject = models.TextField(_("subject"))
    issuer = models.TextField(_("issuer"))
    serial_number = models.CharField(_("serial number"), max_length=64)
    not_before = models.DateTimeField(_("valid from"))
    not_after = models.DateTimeField(_("valid until"))
    chain = models.TextField(_("certificates, PEM"))

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")

    def __str__(self) -> str:
        return str(self.subject)


class Signature(models.Model):
    """One submitted signature with its first verdict."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    document_id = models.UUIDField(_("document"), db_index=True)
    contract_id = models.UUIDField(_("contract"))
    signer_id = models.UUIDField(_("signer"))
    status = models.CharField(_("status"), max_length=10)
    algorithm = models.CharField(_("algorithm"), max_length=24)
    document_sha256 = models.CharField(_("SHA-256 of the document"), max_length=64)
    value = models.BinaryField(_("signature"))
    certificate = models.ForeignKey(Certificate, on_delete=models.PROTECT, verbose_name=_("certificate"))
    verdict = models.CharField(_("verdict"), max_length=16)
    sub_indication = models.CharField(_("sub-indication"), max_length=40, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    created_at = models.DateTimeField(_("submitted"))

    class Meta:
        verbose_name = _("signature")
        verbose_name_plural = _("signatures")
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return f"{self.verdict} {self.algorithm}"


class Verification(models.Model):
    """A later check of a signature."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    signature = models.ForeignKey(Signature, on_delete=models.CASCADE, related_name="verifications")
    verdict = models.CharField(_("verdict"), max_length=16)
    sub_indication = models.CharField(_("sub-indication"), max_length=40, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    checked_at = models.DateTimeField(_("checked"), db_default=Now())

    class Meta:
        verbose_name = _("verification")
        verbose_name_plural = _("verifications")

    def __str__(self) -> str:
        return str(self.verdict)


class TrustAnchor(models.Model):
    """A trusted certificate authority."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=200)
    fingerprint = models.CharField(_("SHA-256"), max_length=64, unique=True)
    certificate = models.TextField(_("certificate, PEM"))
    is_active = models.BooleanField(_("trusted"), default=True)
    created_at = models.DateTimeField(_("added"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("trusted authority")
        verbose_name_plural = _("trusted authorities")

    def __str__(self) -> str:
        return str(self.name)


class RevocationList(models.Model):
    """The newest revocation list of an authority, by its certificate, because two authorities may share a name."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    authority = models.CharField(_("SHA-256 of the authority"), max_length=64, unique=True)
    issuer = models.TextField(_("issuer"))
    der = models.BinaryField(_("list, DER"))
    this_update = models.DateTimeField(_("issued"))
    stored_at = models.DateTimeField(_("stored"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("revocation list")
        verbose_name_plural = _("revocation lists")

    def __str__(self) -> str:
        return str(self.issuer)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""

"""Documents' metadata, and this app's own commands and outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.choices import named
from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord
from apps.documents.interface import DocumentStatus, DocumentType


class Document(models.Model):
    """One version of one file. Its bytes are in object storage under `documents/<id>/<sha256>`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    contract_id = models.UUIDField(_("contract"))
    document_type = models.CharField(_("type"), max_length=24, choices=named(DocumentType))
    status = models.CharField(_("status"), max_length=10, choices=named(DocumentStatus))
    version = models.PositiveIntegerField(_("version"), default=1)
    supersedes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")
    original_filename = models.CharField(_("file name"), max_length=255)
    mime_type = models.CharField(_("content type"), max_length=100)
    file_size = models.BigIntegerField(_("size, bytes"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    active_content = models.CharField(_("active content"), max_length=100, default="", db_default="", blank=True)
    uploaded_by = models.UUIDField(_("uploaded by"))
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        indexes = (
            models.Index(fields=("contract_id", "created_at"), name="documents_of_contract"),
            models.Index(fields=("created_at",), condition=Q(status="pending"), name="documents_pending"),
        )

    def __str__(self) -> str:
        return str(self.original_filename)

    @property
    def storage_key(self) -> str:
        """The key of the bytes in object storage. The original name is data, never part of a path."""
        return f"documents/{self.id}/{self.sha256}"


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""

"""Documents in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.contracts.interface import CONTRACTS, ContractNotFound, ContractRights
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import answers_from, command
from apps.documents import mapping
from apps.documents.gateways import object_storage
from apps.documents.interface import (
    ContractClosedForDocuments,
    Document,
    DocumentNotFound,
    DocumentStatus,
    DocumentStored,
    DocumentType,
    DownloadLink,
    FileDiffers,
    FileEmpty,
    FileName,
    FileSize,
    FileTooLarge,
    MimeType,
    NotNewestVersion,
    Sha256,
    SignedVersion,
    SweepReport,
    UploadTicket,
)
from apps.documents.logic import content, filenames
from apps.documents.models import Document as DocumentRow
from apps.signatures.interface import SIGNATURES

ABANDONED_AFTER = timedelta(days=1)
# Later than a completion may begin, so that none is under way when its bytes are removed.
SWEPT_AFTER = ABANDONED_AFTER + timedelta(hours=1)


def incoming_key(document_id: UUID, sha256: str) -> str:
    """The key under which a ticket admits bytes; checked bytes are stored under another."""
    return f"incoming/{document_id}/{sha256}"


def _ticket(document: Document) -> UploadTicket:
    """A new ticket for a document, also on replay: a signed URL is a secret that is never stored."""
    url, headers, expires_at = object_storage.presigned_put(
        incoming_key(document.id, document.sha256), mime_type=document.mime_type, size=document.file_size
    )
    return UploadTicket(document=document, url=url, headers=headers, expires_at=expires_at)


class Documents:
    """Implements `DocumentsService`."""

    @answers_from(Document, _ticket)
    def start_upload(
        self,
        *,
        ctx: CallContext,
        contract_id: UUID,
        document_type: DocumentType,
        original_filename: FileName,
        mime_type: MimeType,
        file_size: FileSize,
        sha256: Sha256,
        supersedes: UUID | None = None,
    ) -> UploadTicket:
        _require_acceptable(file_size)
        declared = content.declared_type(mime_type)
        if not _rights(ctx, contract_id).may_upload or ctx.actor.id is None:
            raise ContractClosedForDocuments
        earlier = None if supersedes is None else _superseded(ctx, supersedes, contract_id, document_type)
        row = DocumentRow(
            id=new_id(),
            contract_id=contract_id,
            document_type=document_type,
            status=DocumentStatus.PENDING,
            version=1 if earlier is None else earlier.version + 1,
            original_filename=filenames.displayed(original_filename),
            mime_type=declared,
            file_size=file_size,
            sha256=sha256,
            uploaded_by=ctx.actor.id,
            created_at=timezone.now(),
        )
        row.supersedes = earlier
        with command(ctx) as work:
            if earlier is not None:
                _locked(earlier.id)
                if DocumentRow.objects.filter(supersedes=earlier).exists():
                    raise NotNewestVersion
            row.save()
            return _ticket(work.finish(mapping.document(row)))

    def complete_upload(self, *, ctx: CallContext, document_id: UUID) -> Document:
        row = _visible(ctx, document_id)
        if not _rights(ctx, row.contract_id).may_upload:
            raise ContractClosedForDocuments
        if row.status == DocumentStatus.PENDING:
            if row.created_at < timezone.now() - ABANDONED_AFTER:
                raise DocumentNotFound  # a sweep may remove it at any time
            finding = _accept_bytes(row)
        with command(ctx) as work:
            row = _locked(document_id)
            if row.status == DocumentStatus.PENDING:
                row.status, row.mime_type = DocumentStatus.UPLOADED, finding.mime_type
                row.active_content = " ".join(finding.active)
                row.save(update_fields=["status", "mime_type", "active_content"])
                work.emit(_stored(row), aggregate_id=row.id)
            return work.finish(mapping.document(row))

    def get(self, *, ctx: CallContext, document_id: UUID) -> Document:
        return mapping.document(_visible(ctx, document_id))

    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Document, ...]:
        visible = [rights.contract_id for rights in call(CONTRACTS).rights(ctx=ctx, contract_ids=contract_ids)]
        rows = DocumentRow.objects.filter(contract_id__in=visible, status=DocumentStatus.UPLOADED)
        return tuple(mapping.document(row) for row in rows.order_by("created_at", "id"))

    def download(self, *, ctx: CallContext, document_id: UUID) -> DownloadLink:
        row = _visible(ctx, document_id)
        if row.status != DocumentStatus.UPLOADED:
            raise DocumentNotFound
        url, expires_at = object_storage.presigned_get(
            row.storage_key, filename=row.original_filename, mime_type=row.mime_type
        )
        return DownloadLink(url=url, original_filename=row.original_filename, expires_at=expires_at)

    def sweep(self, *, ctx: CallContext) -> SweepReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        now = timezone.now()
        old = DocumentRow.objects.filter(created_at__lt=now - SWEPT_AFTER)
        abandoned = old.filter(status=DocumentStatus.PENDING)
        rows = list(abandoned[:500])
        for row in rows:
            object_storage.remove(incoming_key(row.id, row.sha256))
            object_storage.remove(row.storage_key)
        for row in old.filter(status=DocumentStatus.UPLOADED, created_at__gt=now - 2 * SWEPT_AFTER)[:5000]:
            object_storage.remove(incoming_key(row.id, row.sha256))
        with command(ctx) as work:
            removed, _ = abandoned.filter(id__in=[row.id for row in rows]).delete()
            return work.finish(SweepReport(removed=removed))


def _require_acceptable(file_size: int) -> None:
    if file_size > settings.DOCUMENT_MAX_BYTES:
        raise FileTooLarge(limit=settings.DOCUMENT_MAX_BYTES)
    if file_size == 0:
        raise FileEmpty


def _rights(ctx: CallContext, contract_id: UUID) -> ContractRights:
    rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,))
    if not rights:
        raise ContractNotFound
    return rights[0]


def _visible(ctx: CallContext, document_id: UUID) -> DocumentRow:
    row = DocumentRow.objects.filter(id=document_id).first()
    if row is None or not call(CONTRACTS).rights(ctx=ctx, contract_ids=(row.contract_id,)):
        raise DocumentNotFound
    if row.status == DocumentStatus.PENDING and row.uploaded_by != ctx.actor.id and not ctx.actor.has("system"):
        raise DocumentNotFound
    return row


def _locked(document_id: UUID) -> DocumentRow:
    row = DocumentRow.objects.select_for_update().filter(id=document_id).first()
    if row is None:
        raise DocumentNotFound
    return row


def _superseded(ctx: CallContext, document_id: UUID, contract_id: UUID, kind: DocumentType) -> DocumentRow:
    row = _visible(ctx, document_id)
    if row.contract_id != contract_id or row.document_type != kind or row.status != DocumentStatus.UPLOADED:
        raise DocumentNotFound
    if any(signature.counts for signature in call(SIGNATURES).for_documents(ctx=ctx, document_ids=(document_id,))):
        raise SignedVersion
    return row


def _accept_bytes(row: DocumentRow) -> content.Finding:
    """Check the uploaded bytes and store a copy of exactly the checked bytes; returns what they are.

    The ticket's URL still works for a while; bytes put there later are never read.
    """
    key = incoming_key(row.id, row.sha256)
    stored_size = object_storage.size(key)
    if stored_size != row.file_size:
        raise _differs(row, "", stored_size)
    with content.Received(object_storage.read(key)) as received:
        if received.sha256 != row.sha256:
            raise _differs(row, received.sha256, received.size)
        finding = content.examine(received, row.mime_type)
        object_storage.put(row.storage_key, received.rewound(), mime_type=finding.mime_type)
        return finding


def _differs(row: DocumentRow, found_sha256: str, found_size: int) -> FileDiffers:
    return FileDiffers(
        expected_sha256=row.sha256, found_sha256=found_sha256, expected_size=row.file_size, found_size=found_size
    )


def _stored(row: DocumentRow) -> DocumentStored:
    return DocumentStored(
        document_id=row.id,
        contract_id=row.contract_id,
        document_type=DocumentType(row.document_type),
        original_filename=row.original_filename,
        uploaded_by=row.uploaded_by,
        created_at=row.created_at,
    )

"""A fake of documents for other apps' tests: bytes in memory, uploaded by `put` instead of over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from apps.contracts.interface import CONTRACTS, ContractNotFound, ContractRights
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.documents.interface import (
    ContractClosedForDocuments,
    Document,
    DocumentNotFound,
    DocumentStatus,
    DocumentType,
    DownloadLink,
    FileDiffers,
    FileEmpty,
    FileName,
    FileNotUploaded,
    FileSize,
    FileTooLarge,
    Header,
    MimeType,
    NotNewestVersion,
    Sha256,
    SweepReport,
    UploadTicket,
)
from apps.documents.logic import content, filenames

LIMIT = 50 * 1024 * 1024


class FakeDocuments:
    """Implements `DocumentsService` in memory."""

    def __init__(self) -> None:
        self._documents: dict[UUID, Document] = {}
        self.stored: dict[str, bytes] = {}

    def put(self, ticket: UploadTicket, body: bytes) -> None:
        """Store the bytes, as a PUT under the ticket would."""
        self.stored[ticket.url] = body

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
        declared = content.declared_type(mime_type)
        if file_size > LIMIT:
            raise FileTooLarge(limit=LIMIT)
        if file_size == 0:
            raise FileEmpty
        if not self._rights(ctx, contract_id).may_upload or ctx.actor.id is None:
            raise ContractClosedForDocuments
        earlier = None if supersedes is None else self._visible(ctx, supersedes)
        if earlier is not None and any(item.supersedes == earlier.id for item in self._documents.values()):
            raise NotNewestVersion
        document = Document(
            id=new_id(),
            contract_id=contract_id,
            document_type=document_type,
            status=DocumentStatus.PENDING,
            version=1 if earlier is None else earlier.version + 1,
            supersedes=supersedes,
            original_filename=filenames.displayed(original_filename),
            mime_type=declared,
            file_size=file_size,
            sha256=sha256,
            uploaded_by=ctx.actor.id,
            created_at=datetime.now(UTC),
        )
        self._documents[document.id] = document
        headers = (Header(name="Content-Type", value=declared),)
        return UploadTicket(document=document, url=_url(document), headers=headers, expires_at=_soon())

    def complete_upload(self, *, ctx: CallContext, document_id: UUID) -> Document:
        document = self._visible(ctx, document_id)
        if document.status == DocumentStatus.PENDING:
            found = self._check(document)
            document = msgspec.structs.replace(
                document, status=DocumentStatus.UPLOADED, mime_type=found.mime_type, active_content=found.active
            )
            self._documents[document.id] = document
        return document

    def get(self, *, ctx: CallContext, document_id: UUID) -> Document:
        return self._visible(ctx, document_id)

    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Document, ...]:
        visible = {rights.contract_id for rights in call(CONTRACTS).rights(ctx=ctx, contract_ids=contract_ids)}
        return tuple(
            document
            for document in self._documents.values()
            if document.contract_id in visible and document.status == DocumentStatus.UPLOADED
        )

    def download(self, *, ctx: CallContext, document_id: UUID) -> DownloadLink:
        document = self._visible(ctx, document_id)
        if document.status != DocumentStatus.UPLOADED:
            raise DocumentNotFound
        return DownloadLink(url=_url(document), original_filename=document.original_filename, expires_at=_soon())

    def sweep(self, *, ctx: CallContext) -> SweepReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        return SweepReport(removed=0)

    def _check(self, document: Document) -> content.Finding:
        body = self.stored.get(_url(document))
        if body is None:
            raise FileNotUploaded
        with content.Received([body]) as received:
            if (received.sha256, received.size) != (document.sha256, document.file_size):
                raise FileDiffers(
                    expected_sha256=document.sha256,
                    found_sha256=received.sha256,
                    expected_size=document.file_size,
                    found_size=received.size,
                )
            return content.examine(received, document.mime_type)

    def _rights(self, ctx: CallContext, contract_id: UUID) -> ContractRights:
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,))
        if not rights:
            raise ContractNotFound
        return rights[0]

    def _visible(self, ctx: CallContext, document_id: UUID) -> Document:
        document = self._documents.get(document_id)
        if document is None or not call(CONTRACTS).rights(ctx=ctx, contract_ids=(document.contract_id,)):
            raise DocumentNotFound
        if document.status == DocumentStatus.PENDING and document.uploaded_by != ctx.actor.id:
            raise DocumentNotFound
        return document


def _url(document: Document) -> str:
    return f"memory://documents/{document.id}/{document.sha256}"


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=5)

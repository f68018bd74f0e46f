"""Documents over REST."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from apps.core.interface.context import PATIENT_TIMEOUT_MS, CallContext
from apps.core.interface.dto import Dto, RequestBody
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.rest.heavy import heavy
from apps.core.rest.multipart import UploadView, read_upload
from apps.core.seam.client.registry import call
from apps.documents.interface import (
    DOCUMENTS,
    Document,
    DocumentType,
    DownloadLink,
    FileName,
    FileSize,
    MimeType,
    Sha256,
    UploadTicket,
)
from apps.documents.rest.relay import put


class NewUpload(RequestBody):
    """A file to upload straight to storage. The digest is of all its bytes, in lower-case hex."""

    contract_id: UUID
    document_type: DocumentType
    original_filename: FileName
    file_size: FileSize
    sha256: Sha256
    mime_type: MimeType = ""
    supersedes: UUID | None = None


class UploadFields(RequestBody):
    """The fields beside the file."""

    contract_id: UUID
    document_type: DocumentType
    supersedes: UUID | None = None


class OfContract(Dto):
    """The contract whose documents to list."""

    contract_id: UUID


class Uploaded(Dto):
    """An accepted file."""

    document_id: UUID
    status: str
    document: Document


class Upload(UploadView):
    """POST documents/upload."""

    @heavy(body_bytes=settings.DOCUMENT_MAX_BYTES)
    @endpoint(status=201, multipart=UploadFields)
    def post(self, ctx: CallContext) -> Uploaded:
        """Upload a file through the server, which forwards its bytes to storage in chunks."""
        with read_upload(self.request, UploadFields) as upload:
            ctx = ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS)  # receiving the file has used up the time
            ticket = call(DOCUMENTS).start_upload(
                ctx=ctx,
                original_filename=upload.filename,
                mime_type=upload.mime_type,
                file_size=upload.size,
                sha256=upload.sha256,
                **fields_of(upload.fields),
            )
            put(ticket, upload.file)
        ctx = ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS)
        document = call(DOCUMENTS).complete_upload(ctx=ctx, document_id=ticket.document.id)
        return Uploaded(document_id=document.id, status=document.status.value, document=document)


class Uploads(View):
    """POST documents/uploads."""

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewUpload) -> UploadTicket:
        """Get a ticket to upload a file straight to storage."""
        return call(DOCUMENTS).start_upload(ctx=ctx, **fields_of(body))


class Complete(View):
    """POST documents/{id}/complete."""

    @heavy()
    @endpoint()
    def post(self, ctx: CallContext, document_id: UUID) -> Document:
        """Check the stored bytes and accept them."""
        ctx = ctx.renewed(timeout_ms=PATIENT_TIMEOUT_MS)
        return call(DOCUMENTS).complete_upload(ctx=ctx, document_id=document_id)


class Documents(View):
    """documents?contract_id=."""

    @endpoint()
    def get(self, ctx: CallContext, query: OfContract) -> tuple[Document, ...]:
        """The documents of a contract."""
        return call(DOCUMENTS).for_contracts(ctx=ctx, contract_ids=(query.contract_id,))


class DocumentDetail(View):
    """documents/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, document_id: UUID) -> Document:
        """A document."""
        return call(DOCUMENTS).get(ctx=ctx, document_id=document_id)


class Download(View):
    """documents/{id}/download."""

    @endpoint()
    def get(self, ctx: CallContext, document_id: UUID) -> DownloadLink:
        """A signed URL that gives the bytes under their original name until it expires."""
        return call(DOCUMENTS).download(ctx=ctx, document_id=document_id)

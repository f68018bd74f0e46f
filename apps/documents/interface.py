"""Files of contracts: metadata, versions, access to the bytes. The public file of `documents`.

Here: errors, DTOs, events and the Protocol. Not here: bytes, which go straight to object storage; signatures.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.events import Event
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", min_length=64, max_length=64)]
# Any name: it is shown as one harmless line of at most 255 characters (`Document.original_filename`).
FileName = Annotated[str, Meta(max_length=4_096)]
MimeType = Annotated[str, Meta(max_length=300)]
FileSize = Annotated[int, Meta(ge=0, le=2**40)]


class DocumentType(LabelledEnum):
    """The type of a document in a sale."""

    SALE_CONTRACT = "sale_contract", gettext_noop("Contract of sale")
    TRANSFER_ACT = "transfer_act", gettext_noop("Transfer act")
    REGISTER_EXTRACT = "register_extract", gettext_noop("Register extract")
    POWER_OF_ATTORNEY = "power_of_attorney", gettext_noop("Power of attorney")
    SPOUSE_CONSENT = "spouse_consent", gettext_noop("Spouse's consent")
    PAYMENT_PROOF = "payment_proof", gettext_noop("Proof of payment")
    OTHER = "other", gettext_noop("Other document")


class DocumentStatus(LabelledEnum):
    """The status of a document: `pending` until its bytes have arrived and were checked."""

    PENDING = "pending", gettext_noop("Not uploaded yet")
    UPLOADED = "uploaded", gettext_noop("Uploaded")


class ActiveContent(LabelledEnum):
    """What a document may do when it is opened, beside being shown (ISO 32000-2, sections 12.6.4 and 7.11)."""

    JAVASCRIPT = "javascript", gettext_noop("JavaScript")
    LAUNCH = "launch", gettext_noop("starts a program")
    SUBMIT_FORM = "submit_form", gettext_noop("sends or loads data")
    REMOTE_GOTO = "remote_goto", gettext_noop("opens another document")
    EMBEDDED_PROGRAM = "embedded_program", gettext_noop("contains a program")
    XFA = "xfa", gettext_noop("XFA form")


class Document(Dto):
    """One version of one file. `file_size` is in bytes.

    `mime_type` is the declared one until the bytes have come, then that of the content. `active_content` lists what the
    file may do when it is opened; it is accepted, and its readers are warned.
    """

    id: UUID
    contract_id: UUID
    document_type: DocumentType
    status: DocumentStatus
    version: int
    supersedes: UUID | None
    original_filename: str
    mime_type: str
    file_size: int
    sha256: str
    uploaded_by: UUID
    created_at: Instant
    active_content: tuple[ActiveContent, ...] = ()


class Header(Dto):
    """One HTTP header of a presigned request."""

    name: str
    value: str


class UploadTicket(Dto):
    """Permission to upload: send the bytes by PUT to `url` with exactly these headers, then complete the document."""

    document: Document
    url: str
    headers: tuple[Header, ...]
    expires_at: Instant


class DownloadLink(Dto):
    """A signed URL that gives the bytes under their original name until it expires."""

    url: str
    original_filename: str
    expires_at: Instant


class DocumentNotFound(DomainError, code="document_not_found", category=Category.NOT_FOUND):
    """No such document, or none that the actor may see."""

    message = gettext_noop("There is no such document.")


class ContractClosedForDocuments(DomainError, code="contract_closed_for_documents", category=Category.CONFLICT):
    """The contract is over, or the actor only reads it."""

    message = gettext_noop("No documents can be added to this contract by you.")


class FileTooLarge(DomainError, code="file_too_large", category=Category.TOO_LARGE):
    """The file is larger than `limit` bytes."""

    message = gettext_noop("The file is larger than {limit} bytes.")
    limit: int


class FileEmpty(DomainError, code="file_empty", category=Category.INVALID):
    """The file has no bytes."""

    message = gettext_noop("The file is empty.")


class FileTypeNotAllowed(DomainError, code="file_type_not_allowed", category=Category.UNSUPPORTED_TYPE):
    """The declared type is not on the allow-list."""

    message = gettext_noop("Files of type {mime_type} are not accepted; accepted are {accepted}.")
    mime_type: str
    allowed: tuple[str, ...]

    @property
    def accepted(self) -> str:
        """The allow-list as text for people."""
        return ", ".join(self.allowed)


class FileTypeMismatch(DomainError, code="file_type_mismatch", category=Category.INVALID):
    """The bytes are not of the declared type."""

    message = gettext_noop("The file is declared as {declared} and its content is {found}.")
    declared: str
    found: str


class FileDamaged(DomainError, code="file_damaged", category=Category.INVALID):
    """The bytes begin as the declared type but are no whole file of it, or other data follows the file."""

    message = gettext_noop("The file is damaged, incomplete, or has something else appended to it.")


class FileEncrypted(DomainError, code="file_encrypted", category=Category.INVALID):
    """A PDF that opens only with a password."""

    message = gettext_noop("The file is encrypted: save it without a password and upload it again.")


class FileTooComplex(DomainError, code="file_too_complex", category=Category.INVALID):
    """Opening the file takes more than five seconds of a processor or 256 MiB of memory."""

    message = gettext_noop("The file is too complex to be checked. Save it in a simpler form and upload it again.")


class FileNotUploaded(DomainError, code="file_not_uploaded", category=Category.CONFLICT):
    """No bytes were put under the ticket yet."""

    message = gettext_noop("The file has not arrived in storage yet.")


class FileDiffers(DomainError, code="file_differs", category=Category.INVALID):
    """Size, in bytes, or SHA-256 of the stored file differs from the ticket."""

    message = gettext_noop("The stored file differs from the announced one.")
    expected_sha256: str
    found_sha256: str
    expected_size: int
    found_size: int


class SignedVersion(DomainError, code="document_is_signed", category=Category.CONFLICT):
    """This version has an accepted signature; a new one would leave that signature without its object."""

    message = gettext_noop("A signed document cannot be superseded.")


class NotNewestVersion(DomainError, code="not_newest_version", category=Category.CONFLICT):
    """Another upload supersedes this version already."""

    message = gettext_noop("There is a newer version of this document already.")


class StorageUnavailable(DomainError, code="storage_unavailable", category=Category.UNAVAILABLE):
    """Object storage does not answer."""

    message = gettext_noop("The file storage does not answer. Please try again.")


class DocumentStored(Event):
    """A document's bytes have arrived and were checked."""

    TYPE: ClassVar[str] = "documents.document_stored"
    document_id: UUID
    contract_id: UUID
    document_type: DocumentType
    original_filename: str
    uploaded_by: UUID
    created_at: Instant


class SweepReport(Dto):
    """How many abandoned uploads a sweep removed."""

    removed: int


class DocumentsService(Protocol):
    """Documents of contracts."""

    @command(varies=("url", "headers", "expires_at"))
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
        """Announce a file and get a ticket for its bytes. An empty type, or `application/octet-stream`, is unknown yet.

        Raises: FileTypeNotAllowed, FileTooLarge, FileEmpty, contracts' ContractNotFound, ContractClosedForDocuments,
        DocumentNotFound, SignedVersion, NotNewestVersion, StorageUnavailable.
        """

    @command(timeout_ms=20_000)  # reads the whole file
    def complete_upload(self, *, ctx: CallContext, document_id: UUID) -> Document:
        """Check the stored bytes (size, SHA-256, real type) and accept them.

        Raises: DocumentNotFound, contracts' ContractNotFound, ContractClosedForDocuments, FileNotUploaded, FileDiffers,
        FileTypeMismatch, FileTypeNotAllowed, FileDamaged, FileEncrypted, FileTooComplex, StorageUnavailable.
        """

    @query
    def get(self, *, ctx: CallContext, document_id: UUID) -> Document:
        """A document. Raises: DocumentNotFound."""

    @query
    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Document, ...]:
        """The uploaded documents of these contracts, oldest first, for the contracts that the actor may see."""

    @query(varies=("url", "expires_at"))
    def download(self, *, ctx: CallContext, document_id: UUID) -> DownloadLink:
        """A signed URL that expires. Raises: DocumentNotFound, StorageUnavailable."""

    @command(timeout_ms=30_000)
    def sweep(self, *, ctx: CallContext) -> SweepReport:
        """Remove uploads not completed within a day; system work only. Raises: Forbidden, StorageUnavailable."""


DOCUMENTS: ServiceKey[DocumentsService] = ServiceKey("documents", DocumentsService)

"""Documents as pages show them: one entry per file, with its newest version, its signatures and its earlier versions.

Here: grouping the documents and signatures of a contract. Not here: reading them (`views/contract.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from apps.documents.interface import Document, DocumentType
from apps.signatures.interface import Signature


class Version(NamedTuple):
    """One version and its signatures."""

    document: Document
    signatures: tuple[Signature, ...]
    signed_by_me: bool

    @property
    def is_signed(self) -> bool:
        """Whether the version has an accepted signature: such a version cannot be superseded."""
        return any(signature.counts for signature in self.signatures)


class File(NamedTuple):
    """A file with all of its versions."""

    current: Version
    earlier: tuple[Version, ...]


def files_of(
    documents: Sequence[Document], signatures: Sequence[Signature] | None, me: UUID | None
) -> tuple[File, ...]:
    """The files, contracts of sale before all others, then newest first.

    `signatures` is None when their service does not answer.
    """
    by_document: dict[UUID, list[Signature]] = {}
    for signature in signatures or ():
        by_document.setdefault(signature.document_id, []).append(signature)
    versions = {
        document.id: Version(
            document,
            tuple(by_document.get(document.id, ())),
            any(signature.counts and signature.signer_id == me for signature in by_document.get(document.id, ())),
        )
        for document in documents
    }
    superseded = {document.supersedes for document in documents}
    newest = [document for document in documents if document.id not in superseded]
    newest.sort(key=lambda document: document.created_at, reverse=True)
    newest.sort(key=lambda document: document.document_type != DocumentType.SALE_CONTRACT)
    return tuple(File(versions[document.id], _earlier(document, versions)) for document in newest)


def _earlier(document: Document, versions: dict[UUID, Version]) -> tuple[Version, ...]:
    earlier = []
    document_id = document.supersedes
    while document_id is not None and document_id in versions:
        earlier.append(versions[document_id])
        document_id = versions[document_id].document.supersedes
    return tuple(earlier)

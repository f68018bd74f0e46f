"""Documents as people see them: one entry per file, its newest version with its signatures, the earlier ones behind it.

Here: putting documents and signatures of a contract together. Not here: reading them (`views/contract.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from apps.documents.interface import Document, DocumentType
from apps.signatures.interface import Signature


class Version(NamedTuple):
    """One version and who signed it."""

    document: Document
    signatures: tuple[Signature, ...]
    signed_by_me: bool

    @property
    def is_signed(self) -> bool:
        """Whether a signature on it counts: then it is not superseded any more."""
        return any(signature.counts for signature in self.signatures)


class File(NamedTuple):
    """A file with all of its versions."""

    current: Version
    earlier: tuple[Version, ...]


def files_of(
    documents: Sequence[Document], signatures: Sequence[Signature] | None, me: UUID | None
) -> tuple[File, ...]:
    """The files, contracts of sale before all others, then newest first.

    `signatures` is None where their service does not answer.
    """
    by_document: dict[UUID, list[Signature]] = {}
    for signature in signatures or ():
        by_document.setdefault(signature.document_id, []).append(signature)
    versions = {
        document.id: Version(
            document,
            tuple(by_document.get(document.id, ())),
            any(item.counts and item.signer_id == me for item in by_document.get(document.id, ())),
        )
        for document in documents
    }
    superseded = {document.supersedes for document in documents}
    newest = [document for document in documents if document.id not in superseded]
    newest.sort(key=lambda document: document.created_at, reverse=True)
    newest.sort(key=lambda document: document.document_type != DocumentType.SALE_CONTRACT)
    return tuple(File(versions[document.id], _earlier(document, versions)) for document in newest)


def _earlier(document: Document, versions: dict[UUID, Version]) -> tuple[Version, ...]:
    found = []
    before = document.supersedes
    while before is not None and before in versions:
        found.append(versions[before])
        before = versions[before].document.supersedes
    return tuple(found)

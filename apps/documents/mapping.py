"""Documents as DTOs, here only; fields are listed one by one."""

from apps.documents import interface, models


def document(row: models.Document) -> interface.Document:
    """A document."""
    return interface.Document(
        id=row.id,
        contract_id=row.contract_id,
        document_type=interface.DocumentType(row.document_type),
        status=interface.DocumentStatus(row.status),
        version=row.version,
        supersedes=row.supersedes_id,
        original_filename=row.original_filename,
        mime_type=row.mime_type,
        file_size=row.file_size,
        sha256=row.sha256,
        uploaded_by=row.uploaded_by,
        created_at=row.created_at,
        active_content=tuple(interface.ActiveContent(name) for name in row.active_content.split()),
    )

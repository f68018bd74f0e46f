"""The stored objects that rows of documents refer to; a backup of this service contains them beside its tables."""

from apps.core.interface.stored_objects import StoredObjects

OBJECTS = StoredObjects(
    storage="documents",
    query=(
        "SELECT 'documents/' || id || '/' || sha256, sha256, file_size, mime_type FROM documents_document"
        " WHERE status = 'uploaded'"
    ),
)

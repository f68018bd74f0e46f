"""Reads files sent as multipart/form-data: spooled to disk in chunks and hashed meanwhile, never whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import msgspec
from django.conf import settings
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request

from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.rest.endpoint import View
from apps.core.rest.problems import FieldProblem, Unfit

# A form has a few short fields beside its file; the rest of the allowance is for the boundaries.
OVERHEAD = 64 * 1024


class UploadTooLarge(DomainError, code="upload_too_large", category=Category.TOO_LARGE):
    """More bytes than a file may have."""

    message = gettext_noop("The file is larger than {limit} bytes.")
    limit: int


class ReceivedUpload(NamedTuple):
    """One file with its form fields. `file` is positioned at its beginning; `size` is in bytes."""

    filename: str
    mime_type: str
    size: int
    sha256: str
    file: IO[bytes]
    fields: Any


class UploadView(View):
    """A view that takes one file. The upload handler is set first, because a session's CSRF check reads the form."""

    parser_classes = (MultiPartParser,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Install the upload handler that hashes the file."""
        request.upload_handlers = [_Hashing(settings.DOCUMENT_MAX_BYTES)]
        return super().initialize_request(request, *args, **kwargs)


class _Hashing(TemporaryFileUploadHandler):
    """Writes to a temporary file, hashes the chunks, and stops at the limit (bytes)."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.digest = hashlib.sha256()
        self.received_bytes = 0
        self.too_large = False

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received_bytes += len(raw_data)
        if self.received_bytes > self.limit:
            self.too_large = True
            raise StopUpload(connection_reset=True)
        self.digest.update(raw_data)
        super().receive_data_chunk(raw_data, start)


@contextmanager
def read_upload(request: Request, fields_type: type[msgspec.Struct]) -> Iterator[ReceivedUpload]:
    """Read a form with one `file`.

    Raises: UploadTooLarge, Unfit.
    """
    limit: int = settings.DOCUMENT_MAX_BYTES
    handler = next(item for item in request._request.upload_handlers if isinstance(item, _Hashing))
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit + OVERHEAD:
        raise UploadTooLarge(limit=limit)
    files = request.FILES.getlist("file")
    if handler.too_large:
        raise UploadTooLarge(limit=limit)
    try:
        if len(files) != 1 or len(request.FILES) != 1:
            raise Unfit((FieldProblem(pointer="/file", detail="one file is required"),))
        file = files[0]
        yield ReceivedUpload(
            # Browsers and curl write a quotation mark as %22 (WHATWG HTML, multipart/form-data encoding algorithm).
            filename=(file.name or "").replace("%22", '"'),
            mime_type=file.content_type or "",
            size=file.size or 0,
            sha256=handler.digest.hexdigest(),
            file=file,
            fields=_fields(request, fields_type),
        )
    finally:
        for opened in files:
            opened.close()


def _fields(request: Request, fields_type: type[msgspec.Struct]) -> Any:
    form: Any = request.data
    values = {name: value for name, value in form.items() if isinstance(value, str) and value != ""}
    values.pop("csrfmiddlewaretoken", None)
    try:
        return msgspec.convert(values, fields_type, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        raise Unfit((FieldProblem(pointer=f"/{place.rstrip('`')}", detail=text),)) from None

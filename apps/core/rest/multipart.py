"""Reads files sent as multipart/form-data: spooled to disk in chunks and hashed meanwhile, never whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, NamedTuple

import msgspec
from django.conf import settings
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser as DjangoParser
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles
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


class _RawNames(DjangoParser):
    """Django's parser, which leaves a file's name as it came: `documents` has one rule for every way."""

    def sanitize_file_name(self, file_name: str) -> str:
        """The name, with what browsers and curl escape (WHATWG HTML, multipart/form-data encoding algorithm)."""
        for code, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
            file_name = file_name.replace(code, character)
        return file_name or "file"


def _parsed(request: HttpRequest, meta: Any, body: Any) -> Any:
    return _RawNames(meta, body, request.upload_handlers, "utf-8").parse()


class _Form(BaseParser):
    media_type = "multipart/form-data"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles[Any, Any]:
        """The fields and files. Raises: ParseError."""
        request = (parser_context or {})["request"]
        try:
            data, files = _parsed(request, {**request.META, "CONTENT_TYPE": media_type}, stream)
        except MultiPartParserError as error:
            raise ParseError(str(error)) from None
        return DataAndFiles(data, files)


class UploadView(View):
    """A view that takes one file. The upload handler is set first, because a session's CSRF check reads the form."""

    parser_classes = (_Form,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Install the upload handler that hashes the file."""
        request.upload_handlers = [_Hashing(settings.DOCUMENT_MAX_BYTES)]
        request.parse_file_upload = partial(_parsed, request)  # type: ignore[method-assign]  # for that check
        return super().initialize_request(request, *args, **kwargs)


class _Hashing(TemporaryFileUploadHandler):
    """Writes to a temporary file, hashes the chunks, and stops at the limit (bytes)."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.digest = hashlib.sha256()
        self.received_bytes = 0
        self.too_large = False
        self.filename = ""

    def new_file(self, field_name: str, file_name: str, *arguments: Any, **named: Any) -> None:
        """Remember the name as it came; Django's file would keep only its last part, and refuse some."""
        self.filename = file_name
        super().new_file(field_name, "file", *arguments, **named)

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
            filename=handler.filename,
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

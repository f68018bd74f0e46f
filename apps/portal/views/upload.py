"""Uploading a document from the browser: ticket, bytes, completion.

Here: streaming the browser's file to its presigned PUT, never held whole. Not here: programs' uploads, which use the
public API. The file is the body itself, so that nothing is parsed or stored on disk on the way. The browser has
computed its digest, and completion checks the stored bytes against it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec
import urllib3
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext
from urllib3.exceptions import HTTPError

from apps.core.interface.context import PATIENT_TIMEOUT_MS
from apps.core.interface.dto import Dto
from apps.core.interface.errors import HTTP_STATUS, DomainError
from apps.core.rest import edge, problems
from apps.core.rest.heavy import heavy
from apps.core.seam.client.registry import call
from apps.documents.interface import (
    DOCUMENTS,
    DocumentType,
    FileName,
    FileSize,
    MimeType,
    Sha256,
    StorageUnavailable,
    UploadTicket,
)
from apps.portal import words
from apps.portal.views.page import Page

STORED = (200, 201, 204)
_pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=urllib3.Timeout(connect=5.0, read=30.0))


class Announced(Dto):
    """The browser's description of the file, from headers and the address."""

    document_type: DocumentType
    original_filename: FileName
    file_size: FileSize
    sha256: Sha256
    mime_type: MimeType = ""
    supersedes: UUID | None = None


class Upload(Page):
    """POST: the file as the body, its name (percent-encoded) and digest as headers, its type in the address."""

    http_method_names = ["post", "options"]

    @heavy(body_bytes=settings.DOCUMENT_MAX_BYTES)
    def post(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """Store the file. Refusals are problem details (RFC 9457), because the client is a script."""
        try:
            announced = msgspec.convert(_announced(request), Announced, strict=False)
        except msgspec.ValidationError:
            return problems.response(422, "invalid_request", gettext("Choose a file and say what it is."), request)
        try:
            ticket = call(DOCUMENTS).start_upload(
                ctx=self.ctx, contract_id=contract_id, **msgspec.structs.asdict(announced)
            )
            _put(ticket, request)
            # Receiving may have taken longer than a call's time limit: completion gets a limit of its own.
            ctx = edge.context(request, request.user).renewed(timeout_ms=PATIENT_TIMEOUT_MS)
            document = call(DOCUMENTS).complete_upload(ctx=ctx, document_id=ticket.document.id)
        except DomainError as error:
            return _problem(request, error)
        return JsonResponse({"document_id": str(document.id), "sha256": document.sha256}, status=201)


def _announced(request: HttpRequest) -> dict[str, Any]:
    fields = {
        "document_type": request.GET.get("type", ""),
        "original_filename": unquote(request.headers.get("X-File-Name", "")),
        "mime_type": request.content_type or "",
        "file_size": request.headers.get("Content-Length") or "0",
        "sha256": request.headers.get("X-File-Sha256", ""),
        "supersedes": request.GET.get("supersedes", ""),
    }
    return {name: value for name, value in fields.items() if value != ""}


def _put(ticket: UploadTicket, request: HttpRequest) -> None:
    """Stream the request's body to its presigned PUT. Raises: StorageUnavailable."""
    headers = {header.name: header.value for header in ticket.headers}
    try:
        response = _pool.request("PUT", ticket.url, body=request, headers=headers)  # a request reads as a file
    except (HTTPError, OSError) as error:
        raise StorageUnavailable from error
    if response.status not in STORED:
        raise StorageUnavailable


def _problem(request: HttpRequest, error: DomainError) -> HttpResponse:
    return problems.response(HTTP_STATUS[error.category], error.code, words.of_refusal(error), request)

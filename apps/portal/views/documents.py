"""A document's bytes: the download, and the stream from our own origin that a browser signs.

Here: access to the bytes of one document. Not here: uploading (`upload.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import urllib3
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from urllib3.exceptions import HTTPError

from apps.core.rest.heavy import heavy
from apps.core.seam.client.registry import call
from apps.documents.interface import DOCUMENTS, Document, StorageUnavailable
from apps.portal.views.page import Page

CHUNK_BYTES = 256 * 1024
OK = 200
_pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=urllib3.Timeout(connect=5.0, read=30.0))


class DocumentPage(Page):
    """A page about one document of one contract."""

    def document(self, contract_id: UUID, document_id: UUID) -> Document:
        """The document. Raises: Http404 when it belongs to another contract."""
        document = call(DOCUMENTS).get(ctx=self.ctx, document_id=document_id)
        if document.contract_id != contract_id:
            raise Http404
        return document


class Download(DocumentPage):
    """Downloading under the original name, straight from storage."""

    def get(self, request: HttpRequest, contract_id: UUID, document_id: UUID) -> HttpResponseBase:
        """Redirect to a signed URL that expires."""
        self.document(contract_id, document_id)
        return HttpResponseRedirect(call(DOCUMENTS).download(ctx=self.ctx, document_id=document_id).url)


class Content(DocumentPage):
    """The exact bytes from our own origin: a script may not read from storage, which has another origin."""

    @heavy()
    def get(self, request: HttpRequest, contract_id: UUID, document_id: UUID) -> HttpResponseBase:
        """Stream the bytes, never held whole. Always a download: an uploaded file must not appear as a page of ours."""
        document = self.document(contract_id, document_id)
        link = call(DOCUMENTS).download(ctx=self.ctx, document_id=document_id)
        response = StreamingHttpResponse(_stream(link.url), content_type="application/octet-stream")
        response["Content-Length"] = str(document.file_size)
        response["Content-Disposition"] = "attachment"
        return response


def _stream(url: str) -> Iterator[bytes]:
    """The bytes behind a signed URL. Raises: StorageUnavailable, before the first byte is sent."""
    try:
        response = _pool.request("GET", url, preload_content=False)
    except HTTPError as error:
        raise StorageUnavailable from error
    if response.status != OK:
        response.release_conn()
        raise StorageUnavailable

    def chunks() -> Iterator[bytes]:
        try:
            yield from response.stream(CHUNK_BYTES)
        finally:
            response.release_conn()

    return chunks()

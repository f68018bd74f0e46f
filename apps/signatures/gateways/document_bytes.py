"""Fetches a document's bytes by a signed URL from `documents`; bytes never cross the seam, nor are they held whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import urllib3
from urllib3.exceptions import HTTPError

from apps.documents.interface import StorageUnavailable

MAX_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
IN_MEMORY = 1024 * 1024
_pool = urllib3.PoolManager(maxsize=8, retries=urllib3.Retry(total=2, redirect=False), timeout=10.0)


@contextmanager
def fetched(url: str) -> Iterator[IO[bytes]]:
    """The whole document as a file at its beginning; a large one is on disk. Raises: StorageUnavailable."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        try:
            response = _pool.request("GET", url, preload_content=False)
            try:
                _copy(response, file)
            finally:
                response.release_conn()
        except (HTTPError, OSError) as error:  # a full disk too
            raise StorageUnavailable from error
        file.seek(0)
        yield file


def _copy(response: urllib3.BaseHTTPResponse, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
    size = 0
    if response.status != 200:
        raise StorageUnavailable
    for chunk in response.stream(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_BYTES:
            raise StorageUnavailable
        file.write(chunk)

"""Fetches a document's bytes by a signed URL from `documents`; bytes never cross the seam."""

from __future__ import annotations

import urllib3
from urllib3.exceptions import HTTPError

from apps.documents.interface import StorageUnavailable

MAX_BYTES = 256 * 1024 * 1024
_pool = urllib3.PoolManager(maxsize=8, retries=urllib3.Retry(total=2, redirect=False), timeout=10.0)


def fetch(url: str) -> bytes:
    """The whole document. Raises: StorageUnavailable."""
    try:
        response = _pool.request("GET", url, preload_content=False)
        try:
            body: bytes = response.read(MAX_BYTES + 1)
        finally:
            response.release_conn()
    except HTTPError as error:
        raise StorageUnavailable from error
    if response.status != 200 or len(body) > MAX_BYTES:
        raise StorageUnavailable
    return body

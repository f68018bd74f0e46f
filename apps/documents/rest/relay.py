"""Forwards a file that was uploaded through the server to its presigned PUT, in chunks."""

from __future__ import annotations

from typing import IO

import urllib3
from urllib3.exceptions import HTTPError

from apps.documents.interface import StorageUnavailable, UploadTicket

_pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=30.0)


def put(ticket: UploadTicket, file: IO[bytes]) -> None:
    """Upload the bytes under a ticket. Raises: StorageUnavailable."""
    file.seek(0)
    headers = {header.name: header.value for header in ticket.headers}
    try:
        response = _pool.request("PUT", ticket.url, body=file, headers=headers)
    except HTTPError as error:
        raise StorageUnavailable from error
    if response.status not in {200, 201, 204}:
        raise StorageUnavailable

"""Object storage over S3, through django-storages: presigned PUT and GET, streaming reads, removal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import IO, Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone

from apps.documents.interface import FileNotUploaded, Header, StorageUnavailable

CHUNK_BYTES = 1024 * 1024
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


def _client() -> Any:
    return storages["documents"].connection.meta.client  # type: ignore[attr-defined]  # an S3Storage


def _bucket() -> str:
    return str(settings.DOCUMENTS_BUCKET)


@contextmanager
def _available() -> Iterator[None]:
    """The storage answers. Raises: StorageUnavailable."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise StorageUnavailable from error


@contextmanager
def _stored() -> Iterator[None]:
    """The storage answers, and has the object. Raises: FileNotUploaded, StorageUnavailable."""
    with _available():
        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                raise FileNotUploaded from error
            raise


def presigned_put(key: str, *, mime_type: str, size: int) -> tuple[str, tuple[Header, ...], datetime]:
    """A URL for one PUT of exactly this type and `size` in bytes, the headers to send, and when the URL expires.

    Raises: StorageUnavailable.
    """
    seconds = settings.UPLOAD_URL_SECONDS
    parameters = {"Bucket": _bucket(), "Key": key, "ContentType": mime_type, "ContentLength": size}
    with _available():
        url = _client().generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
    headers = (Header(name="Content-Type", value=mime_type), Header(name="Content-Length", value=str(size)))
    return url, headers, timezone.now() + timedelta(seconds=seconds)


def presigned_get(key: str, *, filename: str, mime_type: str) -> tuple[str, datetime]:
    """A URL that downloads under the original name (RFC 6266, RFC 8187), and when the URL expires.

    Raises: StorageUnavailable.
    """
    seconds = settings.DOWNLOAD_URL_SECONDS
    parameters = {
        "Bucket": _bucket(),
        "Key": key,
        "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
        "ResponseContentType": mime_type,
    }
    with _available():
        url = _client().generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
    return url, timezone.now() + timedelta(seconds=seconds)


def read(key: str) -> Iterator[bytes]:
    """The stored bytes, in chunks. Raises: FileNotUploaded, StorageUnavailable."""
    with _stored():
        body = _client().get_object(Bucket=_bucket(), Key=key)["Body"]
        try:
            yield from body.iter_chunks(CHUNK_BYTES)
        finally:
            body.close()


def put(key: str, file: IO[bytes], *, mime_type: str) -> None:
    """Store bytes. Raises: StorageUnavailable."""
    with _available():
        _client().put_object(Bucket=_bucket(), Key=key, Body=file, ContentType=mime_type)


def size(key: str) -> int:
    """The number of stored bytes. Raises: FileNotUploaded, StorageUnavailable."""
    with _stored():
        return int(_client().head_object(Bucket=_bucket(), Key=key)["ContentLength"])


def remove(key: str) -> None:
    """Delete the stored bytes, if any. Raises: StorageUnavailable."""
    with _available():
        _client().delete_object(Bucket=_bucket(), Key=key)

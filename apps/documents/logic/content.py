"""Checks what an uploaded file is: its content decides, a declared type may only agree with it.

A polyglot is a valid PDF to one reader and something else to another, so a file begins with its header, has nothing
foreign behind its end, and opens (`file_probe.py`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from typing import IO, Any, NamedTuple, Self

import puremagic

from apps.documents.interface import (
    ActiveContent,
    FileDamaged,
    FileEncrypted,
    FileTooComplex,
    FileTypeMismatch,
    FileTypeNotAllowed,
)
from apps.documents.logic import probes

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
ALLOWED = (PDF, PNG, JPEG)
# A client that does not know the type says one of these; the content decides.
UNKNOWN = ("", "application/octet-stream", "binary/octet-stream", "application/force-download", "application/unknown")
OTHER_NAMES = {"application/x-pdf": PDF, "image/jpg": JPEG, "image/pjpeg": JPEG, "image/x-png": PNG}
HEADS = {b"%PDF-": PDF, b"\x89PNG\r\n\x1a\n": PNG, b"\xff\xd8\xff": JPEG}
KINDS = {PDF: b"f", PNG: b"p", JPEG: b"j"}
_SPOOL_BYTES = 8 * 1024 * 1024


class Finding(NamedTuple):
    """What a file is."""

    mime_type: str
    active: tuple[ActiveContent, ...]


class Received:
    """The bytes of an upload with their digest; large ones are on disk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.file: Any = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - closed in __exit__
        digest = hashlib.sha256()
        self.size = 0
        for chunk in chunks:
            digest.update(chunk)
            self.size += len(chunk)
            self.file.write(chunk)
        self.sha256 = digest.hexdigest()

    def rewound(self) -> IO[bytes]:
        """The bytes from the beginning."""
        self.file.seek(0)
        rewound: IO[bytes] = self.file
        return rewound

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def declared_type(text: str) -> str:
    """A declared type in its usual form (RFC 9110, section 8.3.1); `application/octet-stream` where it says nothing.

    Raises: FileTypeNotAllowed.
    """
    name = text.partition(";")[0].strip().lower()
    name = OTHER_NAMES.get(name, name)
    if name in UNKNOWN:
        return "application/octet-stream"
    if name not in ALLOWED:
        raise FileTypeNotAllowed(mime_type=name, allowed=ALLOWED)
    return name


def examine(received: Received, declared: str) -> Finding:
    """What the bytes are, when they are a whole file of the declared type, or of an allowed one where none is declared.

    Raises: FileTypeMismatch, FileTypeNotAllowed, FileDamaged, FileEncrypted, FileTooComplex, ServiceBusy.
    """
    head = received.rewound().read(4096)
    found = next((kind for mark, kind in HEADS.items() if head.startswith(mark)), "")
    if not found or declared not in {found, *UNKNOWN}:
        detected = found or _detected_type(head)
        if declared not in UNKNOWN:
            raise FileTypeMismatch(declared=declared, found=detected)
        raise FileTypeNotAllowed(mime_type=detected, allowed=ALLOWED)
    received.file.rollover()  # the probe needs a real file that it can seek in
    said = probes.examine(KINDS[found], received.file)
    match said["problem"]:
        case "":
            pass
        case "encrypted":
            raise FileEncrypted
        case "too_complex":
            raise FileTooComplex
        case _:
            raise FileDamaged
    return Finding(found, tuple(ActiveContent(name) for name in said["active"]))


def _detected_type(head: bytes) -> str:
    try:
        return str(puremagic.from_string(head, mime=True)) or "unknown"
    except (puremagic.PureError, ValueError):
        return "unknown"

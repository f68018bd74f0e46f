"""Checks that a file is of its declared type: the type is on the allow-list; head, tail and structure agree with it.

A polyglot is a valid PDF to one reader and something else to another, so a PDF has to begin with its header, end with
its trailer, and open.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Self

import puremagic

from apps.documents.interface import FileDamaged, FileTypeMismatch

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
ALLOWED = (PDF, PNG, JPEG)
_SPOOL_BYTES = 8 * 1024 * 1024
_TAIL_BYTES = 1024
PROBE = Path(__file__).with_name("pdf_probe.py")
PROBE_SECONDS = 20


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


def require_type(received: Received, declared: str) -> None:
    """Check that the bytes are a whole file of the declared type. Raises: FileTypeMismatch, FileDamaged."""
    received.file.seek(0)
    head = received.file.read(4096)
    received.file.seek(max(received.size - _TAIL_BYTES, 0))
    tail = received.file.read(_TAIL_BYTES)
    check = {PDF: _is_pdf, PNG: _is_png, JPEG: _is_jpeg}[declared]
    if not check(received, head, tail):
        detected = _detected_type(head)
        if detected == declared:
            raise FileDamaged
        raise FileTypeMismatch(declared=declared, found=detected)


def _detected_type(head: bytes) -> str:
    try:
        return str(puremagic.from_string(head, mime=True)) or "unknown"
    except (puremagic.PureError, ValueError):
        return "unknown"


def _is_pdf(received: Received, head: bytes, tail: bytes) -> bool:
    if not head.startswith(b"%PDF-") or b"%%EOF" not in tail:
        return False
    received.file.rollover()  # the probe needs a real file that it can seek in
    received.file.seek(0)
    command = [sys.executable, "-I", str(PROBE)]
    try:
        probe = subprocess.run(command, stdin=received.file, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0


def _is_png(_received: Received, head: bytes, tail: bytes) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n") and tail.endswith(b"IEND\xaeB`\x82")


def _is_jpeg(_received: Received, head: bytes, tail: bytes) -> bool:
    return head.startswith(b"\xff\xd8\xff") and tail.rstrip(b"\0").endswith(b"\xff\xd9")

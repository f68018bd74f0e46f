"""What counts as a whole file of its type, byte by byte."""

import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pikepdf
import pytest

from apps.documents.interface import FileDamaged, FileTypeMismatch
from apps.documents.logic import content
from tests.world import pdf

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64 + b"IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0" + b"0" * 64 + b"\xff\xd9"


def pdf_without_pages() -> bytes:
    file = io.BytesIO()
    pikepdf.new().save(file)
    return file.getvalue()


def check(body: bytes, declared: str, *, parts: int = 1) -> None:
    size = -(-len(body) // parts) or 1
    with content.Received(body[start : start + size] for start in range(0, len(body), size)) as received:
        content.require_type(received, declared)


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("image/png", PNG),
        ("image/jpeg", JPEG),
        ("image/jpeg", JPEG + b"\0" * 100),  # cameras pad with zeros
        ("application/pdf", pdf()),
        ("application/pdf", pdf().rstrip() + b"\n" * (1024 - len(b"%%EOF"))),  # the trailer is in the last 1024 bytes
    ],
)
def test_a_whole_file_is_accepted(declared: str, body: bytes):
    check(body, declared)


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("image/png", PNG[:-1]),
        ("image/png", PNG + b"\0"),
        ("image/jpeg", JPEG[:-1]),
        ("image/jpeg", JPEG + b"PK"),
        ("application/pdf", pdf()[:-8]),
        ("application/pdf", pdf().rstrip() + b"\n" * (1025 - len(b"%%EOF"))),
        ("application/pdf", pdf_without_pages()),
        ("application/pdf", b"%PDF-1.7\n%%EOF\n"),
    ],
)
def test_a_part_of_a_file_or_more_than_it_is_damaged(declared: str, body: bytes):
    with pytest.raises(FileDamaged):
        check(body, declared)


@pytest.mark.parametrize(
    ("declared", "body", "found"),
    [
        ("application/pdf", PNG, "image/png"),
        ("image/png", JPEG, "image/jpeg"),
        ("image/jpeg", pdf(), "application/pdf"),
        ("application/pdf", b"\n" + pdf(), "unknown"),
        ("image/png", b"", "unknown"),
    ],
)
def test_a_file_of_another_type_is_named_by_its_own(declared: str, body: bytes, found: str):
    with pytest.raises(FileTypeMismatch) as refusal:
        check(body, declared)
    assert (refusal.value.declared, refusal.value.found) == (declared, found)


@pytest.mark.parametrize("parts", [1, 7])
def test_received_bytes_have_their_size_and_digest(parts: int):
    body = os.urandom(10_000)
    chunks = (body[start::parts] for start in range(parts))
    with content.Received(chunks) as received:
        joined = b"".join(body[start::parts] for start in range(parts))
        assert (received.size, received.sha256) == (len(body), hashlib.sha256(joined).hexdigest())
        for _ in range(2):
            assert received.rewound().read() == joined


def test_bytes_that_are_many_wait_on_the_disk():
    most = 8 * 2**20
    with content.Received([bytes(most)]) as small, content.Received([bytes(most), b"x"]) as large:
        assert (small.file._rolled, large.file._rolled) == (False, True)


def test_a_pdf_that_takes_too_long_to_open_is_damaged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "PROBE_SECONDS", 0.001)
    started = time.monotonic()
    with pytest.raises(FileDamaged):
        check(pdf(), "application/pdf")
    assert time.monotonic() - started < 5


def test_a_pdf_is_opened_within_a_gibibyte_ten_seconds_of_processor_and_twenty_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    limits = "[resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)]"
    code = f"import resource, runpy; runpy.run_path({str(content.PROBE)!r})['main'](); print({limits})"
    (tmp_path / "a.pdf").write_bytes(pdf())
    with (tmp_path / "a.pdf").open("rb") as file:
        printed = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, check=True).stdout
    assert printed.decode().strip() == str([(2**30, 2**30), (10, 10), (0, 0)])
    waited = []
    real = subprocess.run
    monkeypatch.setattr(
        content.subprocess,
        "run",
        lambda *command, **options: waited.append(options["timeout"]) or real(*command, **options),
    )
    check(pdf(), "application/pdf")
    assert waited == [20]

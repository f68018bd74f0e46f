"""What counts as a whole file of its type, and what a file may do when it is opened."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Name, String

from apps.core.interface.errors import ServiceBusy
from apps.documents.interface import (
    FileDamaged,
    FileEncrypted,
    FileTooComplex,
    FileTypeMismatch,
    FileTypeNotAllowed,
)
from apps.documents.logic import content, file_probe, probes
from apps.documents.tests.files import (
    PROGRAM,
    archive,
    attach,
    deep_in_arrays,
    image,
    made,
    many_objects,
    on_open,
    on_page,
    xfa,
)
from tests.world import pdf

PNG, JPEG, ZIP = image("PNG"), image("JPEG"), archive()


def check(body: bytes, declared: str, *, parts: int = 1) -> content.Finding:
    size = -(-len(body) // parts) or 1
    with content.Received(body[start : start + size] for start in range(0, len(body), size)) as received:
        return content.examine(received, declared)


@pytest.mark.parametrize(
    ("found", "body"),
    [
        ("image/png", PNG),
        ("image/png", image("PNG", (3, 1))),
        ("image/png", PNG + b"\0" * 10),
        ("image/jpeg", JPEG),
        ("image/jpeg", image("JPEG", progressive=True)),
        ("image/jpeg", JPEG + b"\0" * 100),  # cameras pad with zeros
        ("image/jpeg", JPEG + JPEG),  # a preview behind the picture
        (
            "image/jpeg",
            JPEG + b"\x00\x00\x01\x0a\x0e\x00\x00\x00Image_UTC_Data1700000000000SEFHk\x00\x00\x00",
        ),  # a phone
        ("application/pdf", pdf()),
        ("application/pdf", made(encryption=pikepdf.Encryption(owner="o", user=""))),  # opens without a password
        ("application/pdf", pdf().rstrip() + b"\n" * (1024 - len(b"%%EOF"))),  # the trailer is in the last 1024 bytes
    ],
)
def test_a_whole_file_is_what_its_content_says(found: str, body: bytes):
    assert check(body, found) == (found, ())
    assert check(body, "application/octet-stream").mime_type == found


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("image/png", PNG[:-1]),
        ("image/png", PNG[: len(PNG) // 2]),
        ("image/png", PNG[:8] + PROGRAM + PNG[-12:]),  # a program between head and tail
        ("image/png", PNG + PROGRAM),
        ("image/jpeg", JPEG[:-1]),
        ("image/jpeg", JPEG[: len(JPEG) // 2]),
        ("image/jpeg", JPEG[:4] + PROGRAM + JPEG[-2:]),
        ("image/jpeg", JPEG + PROGRAM),
        ("image/jpeg", JPEG + b"trailer of a phone" + ZIP),
        ("image/jpeg", JPEG + pdf()),
        ("application/pdf", pdf()[:-8]),
        ("application/pdf", pdf().rstrip() + b"\n" * (1025 - len(b"%%EOF"))),
        ("application/pdf", made(lambda opened: opened.pages.__delitem__(0))),
        ("application/pdf", b"%PDF-1.7\n%%EOF\n"),
        ("application/pdf", pdf() + ZIP),
        ("application/pdf", pdf() + PROGRAM),
        ("application/pdf", pdf() + ZIP[:-2] + b"\x06\0" + b"%%EOF\n"),  # an archive whose comment looks like an end
        ("application/pdf", pdf() + ZIP + b"\n%%EOF\n"),
        ("application/pdf", pdf() + PROGRAM + b"\nstartxref 0 %%EOF\n"),
        ("application/pdf", pdf() + b"x" + b"Rar!\x1a\x07\x00"),
        ("image/png", PNG + b"x" * 2**21 + b"7z\xbc\xaf\x27\x1c"),
        ("image/jpeg", JPEG + b"x" + pdf()),
    ],
)
def test_a_part_of_a_file_or_one_with_something_behind_it_is_damaged(declared: str, body: bytes):
    with pytest.raises(FileDamaged):
        check(body, declared)


def test_an_archive_inside_a_pdf_whose_comment_reaches_to_the_end_is_one_to_its_readers():
    def attach_archive(opened: pikepdf.Pdf) -> None:
        opened.Root["/Filler"] = opened.make_stream(ZIP)

    body = bytearray(made(attach_archive, compress_streams=False))
    assert check(bytes(body), "application/pdf").mime_type == "application/pdf", "an attachment is none"
    mark = body.find(b"PK\x05\x06")
    body[mark + 20 : mark + 22] = (len(body) - mark - 22).to_bytes(2, "little")
    with pytest.raises(FileDamaged):
        check(bytes(body), "application/pdf")


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


@pytest.mark.parametrize("body", [ZIP, PROGRAM, b"plain text", b"\n" + pdf()])
def test_a_file_of_no_declared_type_has_to_be_of_an_allowed_one(body: bytes):
    with pytest.raises(FileTypeNotAllowed):
        check(body, "application/octet-stream")


@pytest.mark.parametrize(
    ("declared", "meant"),
    [
        ("application/PDF", "application/pdf"),
        (" image/JPEG ; charset=binary", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("application/x-pdf", "application/pdf"),
        *((name, "application/octet-stream") for name in content.UNKNOWN),
    ],
)
def test_a_declared_type_in_its_usual_form(declared: str, meant: str):
    assert content.declared_type(declared) == meant


@pytest.mark.parametrize("declared", ["text/html", "application/zip", "image", "application/pdf\0"])
def test_other_types_are_refused_before_the_bytes_come(declared: str):
    with pytest.raises(FileTypeNotAllowed):
        content.declared_type(declared)


def test_a_pdf_that_opens_with_a_password_is_encrypted():
    with pytest.raises(FileEncrypted):
        check(made(encryption=pikepdf.Encryption(owner="o", user="u")), "application/pdf")


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (on_open(S=Name.JavaScript, JS=String("app.alert(1)")), {"javascript"}),
        (on_page, {"javascript"}),
        (on_open(S=Name.Launch, F=String("cmd.exe")), {"launch"}),
        (on_open(S=Name.SubmitForm, F=String("http://x")), {"submit_form"}),
        (on_open(S=Name.GoToR, F=String("other.pdf")), {"remote_goto"}),
        (on_open(S=Name.GoToE), {"remote_goto"}),
        (on_open(S=Name.URI, URI=String("http://x"), Next={"S": Name.Launch}), {"launch"}),
        (attach("invoice.xml", b"<x/>"), set()),
        (attach("setup.EXE", b"x"), {"embedded_program"}),
        (attach("picture.png", PROGRAM), {"embedded_program"}),
        (attach("picture.png", b"\x7fELF\2\1"), {"embedded_program"}),
        (attach("picture.png", b"#!/bin/sh"), {"embedded_program"}),
        (attach("picture.png", b"\x7fEL"), set()),
        (deep_in_arrays(18), {"launch"}),
        (deep_in_arrays(200), {"launch"}),
        (xfa, {"xfa"}),
        (on_open(S=Name.URI, URI=String("http://x")), set()),
        (on_open(S=Name.GoTo), set()),
    ],
)
@pytest.mark.parametrize("streams", [pikepdf.ObjectStreamMode.disable, pikepdf.ObjectStreamMode.generate])
def test_what_a_file_may_do_when_it_is_opened(change, kinds: set[str], streams):
    assert set(check(made(change, object_stream_mode=streams), "application/pdf").active) == kinds


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


def test_a_file_of_a_million_objects_ends_within_its_time_and_memory():
    body = many_objects(1_000_000)
    assert len(body) > 30 * 2**20
    before = os.times().children_user
    with pytest.raises(FileTooComplex):
        check(body, "application/pdf")
    assert os.times().children_user - before < 6
    assert check(pdf(), "application/pdf").mime_type == "application/pdf", "the next one is checked as before"


def test_a_picture_that_unfolds_to_more_than_its_memory_is_too_complex():
    side = 15_000
    header = side.to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    rows = zlib.compress(bytes(side * (side * 3 + 1)), 1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    bomb = PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(FileTooComplex):
        check(bomb, "image/png")


def test_a_probe_that_was_killed_is_started_again():
    check(PNG, "image/png")
    _, program, _ = probes._running
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    assert check(PNG, "image/png").mime_type == "image/png"
    assert probes._running[1].pid != program.pid


@pytest.mark.parametrize(("ended_by", "error"), [(signal.SIGKILL, FileTooComplex), (signal.SIGTERM, FileDamaged)])
def test_a_file_whose_examination_the_kernel_ended_is_too_complex(ended_by: signal.Signals, error: type[Exception]):
    body = many_objects(100_000)  # takes long enough to be ended, and is no more than a file may be
    assert check(body, "application/pdf").mime_type == "application/pdf"
    program = probes._running[1].pid
    children = Path(f"/proc/{program}/task/{program}/children")

    def end() -> None:
        while not (child := children.read_text().strip()):
            time.sleep(0.001)
        os.kill(int(child), ended_by)

    while children.read_text().strip():  # the one before is gone when it was waited for
        time.sleep(0.001)
    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    with pytest.raises(error):
        check(body, "application/pdf")
    thread.join(10)


@pytest.mark.parametrize(("code", "reported"), [("import os; os.abort()", signal.SIGABRT), ("raise SystemExit(5)", 0)])
def test_it_is_reported_how_an_examination_ended(code: str, reported: int):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ended = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        waiting = {ended.pid: theirs}
        file_probe._report_ended(waiting)
        assert json.loads(ours.recv(100)) == {"ended": reported}
        assert not waiting
        ended.returncode = 0  # it was waited for already


def test_two_files_are_examined_at_once_and_a_third_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probes, "WAIT_SECONDS", 0.05)
    entered, go_on, most = threading.Semaphore(0), threading.Event(), []

    def slow(*_: object) -> dict:
        entered.release()
        go_on.wait(10)
        most.append(1)
        return {"problem": "", "active": []}

    monkeypatch.setattr(probes, "_asked", slow)
    threads = [threading.Thread(target=check, args=(PNG, "image/png")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=10)
    with pytest.raises(ServiceBusy):
        check(PNG, "image/png")
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(most) == 2


def test_a_file_costs_no_new_interpreter():
    check(PNG, "image/png")
    started = time.perf_counter()
    for _ in range(20):
        check(pdf(), "application/pdf")
    pid = probes._running[1].pid
    check(PNG, "image/png")
    assert probes._running[1].pid == pid
    assert time.perf_counter() - started < 20

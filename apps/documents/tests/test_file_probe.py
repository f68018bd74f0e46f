"""How the probe reads each format, in this process: ends, trailers, action kinds, embedded programs, bounds."""

import mmap
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from apps.documents.logic import content, file_probe
from apps.documents.tests.files import PROGRAM, image
from tests.world import pdf

PNG, JPEG = image("PNG"), image("JPEG")
PNG_HEAD = PNG[:8]
END_OF_ARCHIVE = b"PK\x05\x06" + bytes(16)


@contextmanager
def on_disk(body: bytes):
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        yield file


def refused(examine, body: bytes, *more: int) -> str:
    """The reason of the refusal; empty when there is none."""
    with on_disk(body) as file:
        try:
            examine(file, *more)
        except file_probe.Refused as refusal:
            return str(refusal)
        return ""


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch):
    """Pillow looks at nothing, so that what is read after it is tested alone."""
    monkeypatch.setattr(file_probe, "_decode", lambda *_: None)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return len(body).to_bytes(4) + kind + body + b"crc!"


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        (chunk(b"IEND"), ""),
        (chunk(b"IDAT", b"x" * 5) + chunk(b"IEND"), ""),
        (chunk(b"IDAT", chunk(b"IEND")), "damaged"),  # an end inside of data is none
        (chunk(b"IDAT", b"xy") + chunk(b"tEXt", b"z" * 300) + chunk(b"IEND") + b"of no program", ""),
        (chunk(b"IDAT", b"x" * 5) + chunk(b"IEND") + b"MZ", "appended"),
        (chunk(b"IDAT", b"MZ") + chunk(b"IEND"), ""),
        (b"", "damaged"),
        (chunk(b"IDAT", b"x"), "damaged"),
        (chunk(b"IDAT", b"x") + chunk(b"IEND")[:-1], "damaged"),
        (chunk(b"IEND")[:-5], "damaged"),
        ((2**31).to_bytes(4) + b"IDAT" + chunk(b"IEND"), "damaged"),
    ],
)
def test_a_png_ends_with_its_last_chunk(undecoded, chunks: bytes, reason: str):
    assert refused(file_probe.examine_png, PNG_HEAD + chunks) == reason


SCAN = b"\xff\xda\0\x04ab"


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"\xff\xd9", 2),
        (b"\xff\xff\xff\xd9", 4),  # fill bytes
        (b"\xff\xff\xd9", 3),
        (b"\xff\xcf\0\x04ab\xff\xd9", 8),  # the marker below the restarts has a segment
        (b"\xff\x01\xff\xd9", 4),  # TEM stands alone
        *((bytes([0xFF, restart, 0xFF, 0xD9]), 4) for restart in range(0xD0, 0xD8)),
        (b"\xff\xe0\0\x04ab\xff\xd9more", 8),
        (b"\xff\xe0\x01\x04" + b"a" * 258 + b"\xff\xd9", 264),
        (b"\xff\xe0\0\x06a\xff\xd9b\xff\xd9", 10),  # an end inside of a segment is none
        (b"\xff\xd8\0\x04ab\xff\xd9", 8),
        (SCAN + b"data\xff\xd9", 12),
        (SCAN + b"da\xff\0ta\xff\xd9", 14),  # a stuffed byte
        (SCAN + b"da\xff\xd0ta\xff\xd7\xff\xd9", 16),  # restarts within the data
        (SCAN + b"data\xff\xc4\0\x04ab" + SCAN + b"data\xff\xd9", 28),  # a progressive one has several
        (SCAN + b"data\xff\xff\xd9", 13),
    ],
)
def test_a_jpeg_ends_with_its_marker(body: bytes, end: int):
    assert file_probe._end_of_jpeg(body, 0) == end
    assert file_probe._end_of_jpeg(b"\xd9\xff\xd9" + body, 3) == end + 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"a\xff\xd9",
        b"\xff\xe0\0\x02",
        b"\xff\xe0\0\x09ab\xff\xd9",
        SCAN,
        SCAN + b"data",
        SCAN + b"\xff\0",
    ],
)
def test_a_jpeg_without_its_end_is_damaged(body: bytes):
    with pytest.raises(file_probe.Refused, match="damaged"):
        file_probe._end_of_jpeg(body, 0)


START, END = b"\xff\xd8", b"\xff\xd9"
ONE = START + b"\xff\xe0\0\x04ab" + END


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (ONE, len(ONE)),
        (ONE + b"trailer", len(ONE)),
        (ONE + ONE + b"x", 2 * len(ONE)),
        (ONE * 3, 3 * len(ONE)),
        (ONE + START + b"x", len(ONE)),  # the start of none
    ],
)
def test_further_images_belong_to_a_jpeg(undecoded, body: bytes, end: int):
    with on_disk(body) as file:
        assert file_probe._end_of_jpegs(file) == end


def test_a_second_image_that_is_cut_is_damaged(undecoded):
    assert refused(file_probe.examine_jpeg, ONE + ONE[:-1]) == "damaged"
    assert refused(file_probe.examine_jpeg, ONE + ONE + PROGRAM) == "appended"
    assert refused(file_probe.examine_jpeg, ONE + ONE + b"no " + PROGRAM) == ""


FOUND = {*file_probe.ANYWHERE, file_probe.ARCHIVE_END}


@pytest.mark.parametrize("mark", file_probe.FOREIGN)
@pytest.mark.parametrize("padding", [b"", b"\0", b"\r\n \t\f\0"])
def test_a_program_or_an_archive_behind_the_end_is_foreign(mark: bytes, padding: bytes):
    check = file_probe._require_nothing_foreign
    assert refused(check, b"body" + padding + mark, 4) == "appended"
    assert refused(check, b"body" + padding + mark, 4 + len(padding) + 1) == ""
    assert refused(check, b"body" + padding + b"." + mark + b".", 4) == ("appended" if mark in FOUND else "")
    assert refused(check, b"body" + padding + mark[:-1], 4) == ""


@pytest.mark.parametrize(
    ("body", "end", "reason"),
    [
        (b"ab" + END_OF_ARCHIVE + b"\0\0" + b"rest", 28, ""),  # inside, and not to the end
        (b"ab" + END_OF_ARCHIVE + b"\0\0", 24, "appended"),  # inside, and to the end: an archive to its readers
        (b"ab" + END_OF_ARCHIVE + b"\x04\0" + b"rest", 28, "appended"),
        (b"ab" + END_OF_ARCHIVE + b"\x04\x01" + b"r" * 260, 284, "appended"),
        (b"ab" + END_OF_ARCHIVE + b"\x03\0" + b"rest", 28, ""),
        (b"ab" + END_OF_ARCHIVE + b"\x05\0" + b"rest", 28, ""),
        (b"ab." + END_OF_ARCHIVE + b"\x09\0" + b"rest", 2, "appended"),  # behind the end
        (b"ab" + END_OF_ARCHIVE + b"\x09\0" + b"rest", 2, "appended"),
        (b"%%EOF" + END_OF_ARCHIVE + b"\x09\0" + b"rest", 31, "appended"),  # between two ends
        (b"%%EOF 1 0 obj" + END_OF_ARCHIVE + b"\x09\0" + b"rest", 39, ""),  # in an object between two ends
        (b"1 0 obj %%EOF" + END_OF_ARCHIVE + b"\x09\0" + b"rest", 39, "appended"),
        (b"x%%EOF" + END_OF_ARCHIVE + b"\x09\0obj" + b"rest", 35, "appended"),
        (b"%%EOF obj %%EOF" + END_OF_ARCHIVE + b"\x09\0rest", 41, "appended"),
        (b"ab" + END_OF_ARCHIVE + b"\0\0--" + END_OF_ARCHIVE + b"\0\0", 48, "appended"),  # the second one
    ],
)
def test_an_archive_is_found_by_the_record_at_its_end(body: bytes, end: int, reason: str):
    assert refused(file_probe._require_nothing_foreign, body, end) == reason


@pytest.mark.parametrize(("behind", "reason"), [(65_535, "appended"), (65_536, "")])
def test_the_comment_of_an_archive_has_a_longest_size(behind: int, reason: str):
    body = b"x" + END_OF_ARCHIVE + b"\xff\xff" + b"c" * behind
    assert refused(file_probe._require_nothing_foreign, body, len(body)) == reason


def test_a_mark_is_found_wherever_it_begins():
    with on_disk(b"aaaa.aa") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert [*file_probe._positions(data, b"aa", 0, 7)] == [0, 1, 2, 5]
        assert [*file_probe._positions(data, b"aa", 1, 6)] == [1, 2]
        assert not [*file_probe._positions(data, b"b", 0, 7)]


WINDOWS = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0"
LINUX = b"\x7fELF\x02\x01\x01"


@pytest.mark.parametrize("program", [*file_probe.ANYWHERE, WINDOWS, b"MZ" + WINDOWS, LINUX, b"\x7fELF\x01\x02\x01"])
@pytest.mark.parametrize("before", [b"", b"x", b"x" * 2 * file_probe.MIB])
def test_what_its_readers_find_anywhere_is_looked_for_anywhere_behind_the_end(program: bytes, before: bytes):
    check = file_probe._require_nothing_foreign
    assert refused(check, b"body" + before + program, 4) == "appended"
    assert refused(check, b"body" + before + program + b"rest", 4) == "appended"
    assert refused(check, b"body" + before + b"." + program[:-1], 4) == ""
    assert refused(check, b"body" + before + program, 4 + len(before) + len(program)) == ""


@pytest.mark.parametrize("page", [b"<script>", b"<SCRIPT src=x>", b"<!DOCTYPE html>", b"<?php echo", b"<svg/onload=x>"])
def test_a_page_behind_the_end_is_foreign(page: bytes):
    assert refused(file_probe._require_nothing_foreign, b"body" + b"\nx" + page, 4) == "appended"
    assert refused(file_probe._require_nothing_foreign, b"body" + page, 4 + len(page)) == ""


@pytest.mark.parametrize(
    "harmless",
    [
        b"<x:xmpmeta>",
        b"<scripture>",
        b"<rdf:RDF>",
        b"1 < script",
        b"<html",
        b"xMZ" + bytes(100),
        b"x\x7fELF\x03\x01\x01",
        b"xMZ",
        b"x\x1f\x8b\x08",
    ],
)
def test_short_marks_that_come_by_chance_are_none_in_a_trailer(harmless: bytes):
    assert refused(file_probe._require_nothing_foreign, b"body" + harmless, 4) == ""


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (b"MZ" + bytes(100), "appended"),
        (b"\n x " + WINDOWS, "appended"),
        (b"junk Rar!\x1a\x07", "appended"),
        (b"junk", ""),
        (b"1 0 obj stream Rar!\x1a\x07 endobj", ""),  # an update, with an attachment
    ],
)
def test_between_two_ends_of_a_pdf_stand_objects(between: bytes, reason: str):
    body = b"%PDF- 1 0 obj %%EOF" + between + b"startxref %%EOF\n"
    check = file_probe._require_nothing_foreign
    with on_disk(body) as file:
        if reason:
            with pytest.raises(file_probe.Refused, match=reason):
                check(file, len(body) - 1, is_pdf=True)
        else:
            check(file, len(body) - 1, is_pdf=True)
        check(file, len(body) - 1)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"%%EOF", 5),
        (b"%PDF %%EOF\n", 10),
        (b"%%EOF more %%EOF\n", 16),
        (b"x" * 3000 + b"%%EOF" + b"\n" * 1019, 3005),
        (b"%%EOF" + b"\n" * 1019, 5),
    ],
)
def test_a_pdf_ends_with_its_last_mark(body: bytes, end: int):
    with on_disk(body) as file:
        assert file_probe._after_last_end(file) == end


@pytest.mark.parametrize("body", [b"", b"%%EO", b"%%EOF" + b"\n" * 1020, b"x" * 3000 + b"%%EOF" + b"\n" * 1020])
def test_a_pdf_without_a_mark_in_its_last_kibibyte_is_damaged(body: bytes):
    assert refused(file_probe._after_last_end, body) == "damaged"


@pytest.mark.parametrize(("most", "reason"), [(1200, ""), (1199, "too_complex")])
@pytest.mark.parametrize(("body", "kind"), [(PNG, "PNG"), (JPEG, "JPEG")])
def test_pictures_have_so_many_pixels_at_most(
    monkeypatch: pytest.MonkeyPatch, body: bytes, kind: str, most: int, reason: str
):
    monkeypatch.setattr(file_probe, "MAX_PIXELS", most)  # they have forty by thirty
    assert refused(lambda file: file_probe._decode(file, kind), body) == reason


def test_a_picture_is_opened_as_what_it_is_said_to_be():
    for body, kind in ((PNG, "JPEG"), (JPEG, "PNG")):
        with on_disk(body) as file, pytest.raises(OSError, match="cannot identify"):
            file_probe._decode(file, kind)


def test_the_size_of_this_process_is_the_kernels():
    """Between two readings something may be allocated."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    size = int(lines["VmSize"].split()[0]) * 1024
    assert abs(file_probe._size_of_this_process() - size) < size / 10


@pytest.mark.parametrize(("kind", "body"), [(b"f", pdf()), (b"p", PNG), (b"j", JPEG)])
def test_each_kind_has_its_examination(kind: bytes, body: bytes):
    with on_disk(body) as file:
        assert file_probe.EXAMINED[kind](file) == []


def test_a_foreign_type_is_named():
    assert content._detected_type(b"GIF89a" + bytes(20)) == "image/gif"


@pytest.mark.parametrize("head", [b"", b"?", b"plain words"])
def test_a_type_without_a_name_is_unknown(head: bytes):
    assert content._detected_type(head) == "unknown"

"""Opens files in processes of their own, each with little memory and time. Run as a program by `probes.py`.

A file of a few kilobytes can unfold to gigabytes while it is opened, so the kernel bounds each process. The libraries
are loaded once, here; each file gets a fork of this process, which costs milliseconds. Imports nothing of the platform.

Standard input is a socket of packets: one byte for the type, with two descriptors: the file, and a socket for the
answer. The answer is JSON, `{"problem": "", "active": []}`, and then `{"ended": signal}` when the fork is gone.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import resource
import select
import signal
import socket
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

MIB = 1024 * 1024
MEMORY_BYTES = 256 * MIB
CPU_SECONDS = 5
MAX_PIXELS = 250_000_000
# What is appended to a file and is a program or an archive of its own; images of phones carry harmless trailers.
FOREIGN = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"Rar!\x1a\x07"),
    *(b"7z\xbc\xaf\x27\x1c", b"%PDF-", b"#!", b"\x1f\x8b\x08", b"\xd0\xcf\x11\xe0"),
)
PADDING = b"\0\t\n\f\r "
# What its readers find wherever it begins.
ANYWHERE = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"%PDF-", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
# Read by a browser, which some let look for it anywhere.
_PAGE = re.compile(rb"<(?:html|script|svg|body|iframe|!doctype html|\?php)[\s>/]", re.IGNORECASE)
ARCHIVE_END = b"PK\x05\x06"  # APPNOTE.TXT, section 4.3.16
ARCHIVE_END_BYTES = 22
ACTIONS = {"/JavaScript": "javascript", "/Launch": "launch", "/SubmitForm": "submit_form", "/ImportData": "submit_form"}
ACTIONS |= {"/GoToR": "remote_goto", "/GoToE": "remote_goto", "/RichMediaExecute": "embedded_program"}
# Links that do more than open a page.
SCHEMES = {"javascript": "javascript", "vbscript": "javascript", "data": "javascript", "file": "launch"}
_SCHEME = re.compile(rf"\s*({'|'.join(SCHEMES)})\s*:", re.IGNORECASE)
PROGRAM_NAME = re.compile(
    r"\.(exe|com|scr|pif|bat|cmd|psm?1|vbs?|vbe|jse?|wsf?|wsh|wsc|sct|hta|msi|msp|jar|sh|command|app|dll|lnk|url|scf|reg"
    r"|cpl|apk|py|docm|xlsm|xlam|pptm|iso|vhdx?|chm|desktop|mht|s?html?|svg|settingcontent-ms)$",
    re.IGNORECASE,
)
_ELF = re.compile(rb"\x7fELF[\x01\x02][\x01\x02]\x01")
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Refused(Exception):
    """The file is not what it has to be: `damaged`, `appended`, `encrypted` or `too_complex`."""


def main() -> int:
    """Serve until the other end closes."""
    import pikepdf  # noqa: F401 - loaded before the first fork
    from PIL import Image, JpegImagePlugin, PngImagePlugin  # noqa: F401 - likewise

    orders = socket.socket(fileno=0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([orders.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(waiting)
        if orders.fileno() in readable:
            kind, descriptors, _, _ = socket.recv_fds(orders, 1, 2)
            if not kind:
                return 0
            file, answer = descriptors
            pid = os.fork()
            if not pid:
                orders.close()
                _examine(kind, file, socket.socket(fileno=answer))
            os.close(file)
            waiting[pid] = socket.socket(fileno=answer)


def _report_ended(waiting: dict[int, socket.socket]) -> None:
    for pid in list(waiting):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with waiting.pop(pid) as answer, contextlib.suppress(OSError):
                answer.send(json.dumps({"ended": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}).encode())


def _examine(kind: bytes, descriptor: int, answer: socket.socket) -> None:
    """Examine one file, in a fork, and end."""
    said: dict[str, Any] = {"problem": "damaged", "active": []}
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        memory = _size_of_this_process() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(descriptor, "rb") as file:
            said["active"] = EXAMINED[kind](file)
            said["problem"] = ""
    except Refused as refusal:
        said["problem"] = str(refusal)
    except MemoryError:
        said["problem"] = "too_complex"
    except Exception as error:  # noqa: BLE001 - a file that its library cannot read is damaged
        said["problem"] = "too_complex" if "alloc" in str(error) else "damaged"
    finally:
        with contextlib.suppress(BaseException):
            answer.send(json.dumps(said).encode())
        os._exit(0)


def _size_of_this_process() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def examine_pdf(file: Any) -> list[str]:
    """The kinds of active content of a whole PDF (ISO 32000-2). Raises: Refused, pikepdf.PdfError."""
    import pikepdf

    _require_nothing_foreign(file, _after_last_end(file), is_pdf=True)
    try:
        pdf = pikepdf.open(file)
    except pikepdf.PasswordError:
        raise Refused("encrypted") from None
    with pdf:
        if not len(pdf.pages):
            raise Refused("damaged")
        active: set[str] = set()
        for item in pdf.objects:
            _note(item, active)
        form = pdf.Root.get("/AcroForm")
        if isinstance(form, pikepdf.Dictionary) and "/XFA" in form:
            active.add("xfa")
        if any("deeply nested" in str(warning) for warning in pdf.get_warnings()):
            raise Refused("too_complex")  # its library has left out what another reader may read
        return sorted(active)


def _note(item: Any, active: set[str]) -> None:
    """Note the active content of one object and of the direct objects within it, however deep."""
    import pikepdf

    waiting = [item]
    while waiting:
        item = waiting.pop()
        parts: Iterable[Any] = ()
        if isinstance(item, pikepdf.Array):
            parts = item
        elif isinstance(item, pikepdf.Dictionary | pikepdf.Stream):
            entries = item.stream_dict if isinstance(item, pikepdf.Stream) else item
            _note_entries(entries, active)
            parts = entries.values()
        # An indirect one is an object of its own.
        waiting += [p for p in parts if isinstance(p, pikepdf.Dictionary | pikepdf.Array) and not p.is_indirect]


def _note_entries(entries: Any, active: set[str]) -> None:
    """Note what the entries of one dictionary say."""
    import pikepdf

    kind = entries.get("/S")
    if isinstance(kind, pikepdf.Name) and str(kind) in ACTIONS:
        active.add(ACTIONS[str(kind)])
    if isinstance(kind, pikepdf.Name) and str(kind) == "/Thread" and "/F" in entries:
        active.add("remote_goto")
    if "/URI" in entries and (scheme := _SCHEME.match(str(entries["/URI"]))):
        active.add(SCHEMES[scheme[1].lower()])
    if "/JS" in entries or "/OnInstantiate" in entries:  # of a 3D model (ISO 32000-2, section 13.6.3)
        active.add("javascript")
    if "/XFA" in entries:
        active.add("xfa")
    subtype = entries.get("/Subtype")
    if isinstance(subtype, pikepdf.Name) and str(subtype) == "/RichMedia":  # Flash (ISO 32000-2, section 13.7)
        active.add("embedded_program")
    if "/EF" in entries and _is_program(entries):
        active.add("embedded_program")


def _is_program(specification: Any) -> bool:
    """Whether an embedded file is a program, by its name or its first bytes (ISO 32000-2, section 7.11.3)."""
    import pikepdf

    names = [str(specification[key]) for key in ("/UF", "/F") if isinstance(specification.get(key), pikepdf.String)]
    if any(PROGRAM_NAME.search(_seen(name)) for name in names):
        return True
    for stream in specification["/EF"].values():
        if isinstance(stream, pikepdf.Stream):
            try:
                head = stream.read_bytes()[:4]
            except pikepdf.PdfError:
                continue
            if head.startswith((b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"#!")):
                return True
    return False


def _seen(name: str) -> str:
    """A name as its system reads it: without characters that cannot be seen, and the dots at the end."""
    return "".join(c for c in name if unicodedata.category(c) not in {"Cf", "Cc"}).strip().rstrip(". ")


def _after_last_end(file: Any) -> int:
    """Where a PDF's last end-of-file mark ends. Raises: Refused where the last kibibyte has none."""
    size = file.seek(0, os.SEEK_END)
    begin = max(size - 1024, 0)
    file.seek(begin)
    tail = file.read()
    mark = tail.rfind(b"%%EOF")
    if mark < 0:
        raise Refused("damaged")
    return int(begin + mark + len(b"%%EOF"))


def examine_png(file: Any) -> list[str]:
    """Nothing is active in a PNG. Raises: Refused, OSError of Pillow."""
    _decode(file, "PNG")
    position = 8
    size = file.seek(0, os.SEEK_END)
    while position + 12 <= size:  # chunks: PNG, section 5.3
        file.seek(position)
        header = file.read(8)
        position += 12 + int.from_bytes(header[:4])
        if header[4:] == b"IEND":
            _require_nothing_foreign(file, position)
            return []
    raise Refused("damaged")


def examine_jpeg(file: Any) -> list[str]:
    """Nothing is active in a JPEG. Raises: Refused, OSError of Pillow."""
    _decode(file, "JPEG")
    _require_nothing_foreign(file, _end_of_jpegs(file))
    return []


def _decode(file: Any, kind: str) -> None:
    """Decode every pixel; a JPEG at an eighth of its size, which reads all of its data."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(file, formats=[kind]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Refused("too_complex")
        image.draft("L", (1, 1))
        image.load()


def _end_of_jpegs(file: Any) -> int:
    """Where the image ends, and further whole images right behind it, as phones write them (ITU-T T.81, annex B)."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = 0
        while data[end : end + 3] == b"\xff\xd8\xff":
            end = _end_of_jpeg(data, end + 2)
        return end


def _end_of_jpeg(data: Any, position: int) -> int:
    while True:
        if data[position : position + 1] != b"\xff" or position + 2 > len(data):
            raise Refused("damaged")
        marker = data[position + 1]
        position += 2
        if marker == 0xD9:
            return position
        if marker == 0xFF:
            position -= 1
        elif marker != 0x01 and not 0xD0 <= marker <= 0xD7:
            position += int.from_bytes(data[position : position + 2])
            if marker == 0xDA:  # coded data follow, up to the next marker
                found = _MARKER.search(data, position)
                if found is None:
                    raise Refused("damaged")
                position = found.start()


def _require_nothing_foreign(file: Any, end: int, *, is_pdf: bool = False) -> None:
    """Refuse a file with a program or an archive behind its end, or one that is an archive to its readers."""
    size = file.seek(0, os.SEEK_END)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for begin, stop in ((end, size), *(_between_ends(data, end) if is_pdf else ())):
            if data[begin : min(begin + MIB, stop)].lstrip(PADDING).startswith(FOREIGN) or _holds(data, begin, stop):
                raise Refused("appended")
        for mark in _positions(data, ARCHIVE_END, max(size - ARCHIVE_END_BYTES - 65_535, 0), size):
            ended = mark + ARCHIVE_END_BYTES + int.from_bytes(data[mark + 20 : mark + 22], "little")
            before = data.rfind(b"%%EOF", 0, mark)
            # Between two ends of a PDF stand objects, and an archive attached to it stands in one of them.
            is_between = before >= 0 and data.find(b"obj", before, mark) < 0
            if mark >= end or ended == size or is_between:
                raise Refused("appended")


def _between_ends(data: mmap.mmap, last: int) -> Iterator[tuple[int, int]]:
    """From each end of a PDF to its next one, where that adds no object, and is thus no update (ISO 32000-2, 7.5.6)."""
    ends = [mark + 5 for mark in _positions(data, b"%%EOF", 0, last)]
    for begin, stop in pairwise(ends):
        if data.find(b"obj", begin, stop) < 0:
            yield begin, stop


def _holds(data: mmap.mmap, begin: int, end: int) -> bool:
    """Whether there is an archive, a program or a page, wherever it begins, by marks too long to come by chance."""
    if any(data.find(mark, begin, end) >= 0 for mark in ANYWHERE):
        return True
    if _ELF.search(data, begin, end) or _PAGE.search(data, begin, end):
        return True
    for start in _positions(data, b"MZ", begin, end):
        header = start + int.from_bytes(data[start + 60 : start + 64], "little")
        if data[header : header + 4] == b"PE\0\0":
            return True
    return False


def _positions(data: mmap.mmap, part: bytes, begin: int, end: int) -> Iterator[int]:
    position = data.find(part, begin, end)
    while position >= 0:
        yield position
        position = data.find(part, position + 1, end)


EXAMINED = {b"f": examine_pdf, b"p": examine_png, b"j": examine_jpeg}

if __name__ == "__main__":
    sys.exit(main())

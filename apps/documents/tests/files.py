"""Files for tests, made by their libraries: whole ones, active ones, and ones that cost time."""

import io
import random
import zipfile

import pikepdf
from pikepdf import Array, Dictionary, Name, String
from PIL import Image

PROGRAM = b"MZ" + bytes(62) + b"This program cannot be run in DOS mode."


def image(kind: str, size: tuple[int, int] = (40, 30), **options) -> bytes:
    file = io.BytesIO()
    noise = random.Random(1).randbytes(size[0] * size[1] * 3)
    Image.frombytes("RGB", size, noise).save(file, kind, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("run.txt", "x")
    return file.getvalue()


def made(change=lambda _: None, **save) -> bytes:
    file = io.BytesIO()
    with pikepdf.new() as opened:
        opened.add_blank_page()
        change(opened)
        opened.save(file, **save)
    return file.getvalue()


def on_open(**action):
    """An action when the document is opened; made anew each time, because a file takes its objects with it."""

    def change(opened: pikepdf.Pdf) -> None:
        following = action.get("Next")
        more = {"Next": Dictionary(**following)} if following else {}
        opened.Root["/OpenAction"] = opened.make_indirect(Dictionary(**{**action, **more}))

    return change


def attach(name: str, body: bytes):
    def change(opened: pikepdf.Pdf) -> None:
        opened.attachments[name] = pikepdf.AttachedFileSpec(opened, body, filename=name)

    return change


def on_page(opened: pikepdf.Pdf) -> None:
    action = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
    opened.pages[0].obj["/Annots"] = Array([Dictionary(Type=Name.Annot, AA=Dictionary(E=action))])


def deep_in_arrays(levels: int):
    """An action within so many arrays, each directly in the next."""

    def change(opened: pikepdf.Pdf) -> None:
        held = Array([Dictionary(S=Name.Launch)])
        for _ in range(levels - 1):
            held = Array([held])
        opened.Root["/AA"] = held

    return change


def xfa(opened: pikepdf.Pdf) -> None:
    opened.Root["/AcroForm"] = Dictionary(XFA=opened.make_stream(b"<xdp/>"), Fields=Array())


def nested(levels: int) -> bytes:
    """A PDF with an annotation's action within so many dictionaries, each directly in the next."""
    action = b"<</A " * levels + b"<</S/Launch>>" + b">>" * levels
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>"]
    bodies += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Annots[4 0 R]>>", action]
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(bodies, 1):
        offsets.append(len(body))
        body += b"%d 0 obj %b endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer <</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return body + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer


def many_objects(count: int) -> bytes:
    """A PDF of so many small objects, which takes time and memory to read."""
    parts = [b"%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n"]
    parts.append(b"2 0 obj <</Type/Pages/Count 1/Kids[3 0 R]>> endobj\n3 0 obj <</Type/Page/Parent 2 0 R>> endobj\n")
    parts += [b"%d 0 obj [1 2 3] endobj\n" % number for number in range(4, count)]
    offsets, position = [], 0
    for part in parts:
        for line in part.splitlines(keepends=True):
            if b" obj " in line:
                offsets.append(position)
            position += len(line)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table))
    parts.append(b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, position))
    return b"".join(parts)

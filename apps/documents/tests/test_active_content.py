"""What the probe finds active in a PDF: actions, forms, embedded programs, wherever and however deep they stand."""

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from apps.documents.logic import file_probe
from apps.documents.tests.files import PROGRAM, deep_in_arrays, made, nested
from apps.documents.tests.test_file_probe import on_disk, refused


def active(change) -> list[str]:
    with on_disk(made(change)) as file:
        return file_probe.examine_pdf(file)


def at_root(value):
    def change(opened: pikepdf.Pdf) -> None:
        opened.Root["/Held"] = value(opened)

    return change


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        *((lambda _, name=name: Dictionary(S=Name(name)), [kind]) for name, kind in file_probe.ACTIONS.items()),
        (lambda _: Dictionary(S=String("/Launch")), []),  # a string is no name
        (lambda _: Dictionary(S=Name.Thread), []),
        (lambda _: Dictionary(JS=String("x")), ["javascript"]),
        (lambda _: Dictionary(XFA=Array()), ["xfa"]),
        (lambda _: Dictionary(S=Name.Thread, F=String("other.pdf")), ["remote_goto"]),
        (lambda _: Dictionary(S=String("/Thread"), F=String("other.pdf")), []),
        (lambda _: Dictionary(S=Name.URI, URI=String("https://example.ru")), []),
        (lambda _: Dictionary(S=Name.URI, URI=String(" JavaScript :alert(1)")), ["javascript"]),
        (lambda _: Dictionary(S=Name.URI, URI=String("file:///c:/calc.exe")), ["launch"]),
        (lambda _: Dictionary(URI=Dictionary(Base=String("https://example.ru"))), []),
        (lambda _: Dictionary(Type=Name.Annot, Subtype=Name.RichMedia), ["embedded_program"]),
        (lambda _: Dictionary(Type=Name.Annot, Subtype=String("/RichMedia")), []),
        (lambda _: Dictionary(Type=Name.Annot, Subtype=Name("/3D")), []),
        (lambda of: of.make_stream(b"x", {"/OnInstantiate": of.make_stream(b"x")}), ["javascript"]),
        (lambda _: Dictionary(Type=Name.Annot, Subtype=Name.Link), []),
        (lambda _: Array([Name.Launch, 1, Dictionary(S=Name.Launch)]), ["launch"]),
        (
            lambda _: Array([1, Array([Dictionary(S=Name.Launch)]), Dictionary(JS=String("x"))]),
            ["javascript", "launch"],
        ),
        (lambda _: Dictionary(A=Dictionary(S=Name.Launch), B=Dictionary(JS=String("x"))), ["javascript", "launch"]),
        (lambda _: Dictionary(A=Array([Dictionary(S=Name.GoToE)])), ["remote_goto"]),
        (lambda of: of.make_stream(b"x", {"/S": Name.Launch}), ["launch"]),
        (lambda of: of.make_stream(b"x", {"/A": Dictionary(S=Name.Launch)}), ["launch"]),
        (lambda of: Dictionary(A=of.make_indirect(Dictionary(S=Name.Launch))), ["launch"]),
        (lambda of: Array([of.make_indirect(Dictionary(S=Name.Launch))]), ["launch"]),
    ],
)
def test_what_is_active_wherever_it_stands(value, kinds: list[str]):
    assert active(at_root(value)) == kinds


@pytest.mark.parametrize(("levels", "reason"), [(400, ""), (5000, "too_complex")])
def test_what_is_too_deep_for_its_library_is_too_complex(levels: int, reason: str):
    assert refused(file_probe.examine_pdf, nested(levels)) == reason


def test_a_form_with_xfa_is_one_also_where_it_has_nothing_else():
    def change(opened: pikepdf.Pdf) -> None:
        opened.Root["/AcroForm"] = opened.make_indirect(Dictionary(XFA=String("x")))

    assert active(change) == ["xfa"]

    def without(opened: pikepdf.Pdf) -> None:
        opened.Root["/AcroForm"] = Name.XFA

    assert active(without) == []


@pytest.mark.parametrize("levels", [1, 20, 21, 200, 400])
def test_direct_objects_are_followed_however_deep(levels: int):
    assert active(deep_in_arrays(levels)) == ["launch"]

    def dictionaries(opened: pikepdf.Pdf) -> None:
        held = Dictionary(S=Name.Launch)
        for _ in range(levels):
            held = Dictionary(Held=held)
        opened.Root["/Held"] = held

    assert active(dictionaries) == ["launch"]


def embedded(name: str | None, *bodies: bytes, key: str = "/F", damaged: bool = False):
    def change(opened: pikepdf.Pdf) -> None:
        files = Dictionary()
        for number, body in enumerate(bodies):
            files[("/F", "/UF", "/DOS")[number]] = opened.make_stream(body)
        if damaged:
            files["/A"] = opened.make_stream(b"not deflated", Filter=Name.FlateDecode)
        entries = Dictionary(Type=Name.Filespec, EF=files)
        if name is not None:
            entries[key] = String(name)
        opened.Root["/Held"] = opened.make_indirect(entries)

    return change


EXTENSIONS = file_probe.PROGRAM_NAME.pattern.partition("(")[2].partition(")")[0].replace("?", "").split("|")


@pytest.mark.parametrize("extension", [*EXTENSIONS, "vb", "js", "ws", "EXE", "Js"])
@pytest.mark.parametrize("key", ["/F", "/UF"])
def test_a_program_by_its_name(extension: str, key: str):
    assert active(embedded(f"счёт.{extension}", b"x", key=key)) == ["embedded_program"]


@pytest.mark.parametrize("name", ["a.exe.txt", "exe", "a.pdf", "a.jsonx", "", None])
def test_other_names_are_those_of_no_program(name: str | None):
    assert active(embedded(name, b"x")) == []


@pytest.mark.parametrize("name", ["a.exe ", "a.exe\n"])
def test_spaces_hide_no_program(name: str):
    assert active(embedded(name, b"x")) == ["embedded_program"]


@pytest.mark.parametrize("head", [b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"#!"])
def test_a_program_by_its_first_bytes(head: bytes):
    assert active(embedded("a.txt", head + b"rest")) == ["embedded_program"]
    assert active(embedded("a.txt", b"text", head + b"rest")) == ["embedded_program"], "in any of the files"
    assert active(embedded("a.txt", b"text", head, damaged=True)) == ["embedded_program"], "behind a damaged one"
    assert active(embedded("a.txt", b"." + head)) == []
    assert active(embedded("a.txt", head[:-1])) == []


def test_an_embedded_file_that_is_no_stream_is_none():
    def change(opened: pikepdf.Pdf) -> None:
        files = Dictionary(F=String("MZ"), UF=opened.make_stream(PROGRAM))
        opened.Root["/Held"] = opened.make_indirect(Dictionary(EF=files, F=Name("/a.exe")))

    assert active(change) == ["embedded_program"], "by the stream beside it"

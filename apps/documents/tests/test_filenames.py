"""Any name survives for display, and is harmless."""

import unicodedata

import pytest

from apps.documents.logic.filenames import displayed


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Договор №1 «А».pdf", "Договор №1 «А».pdf"),
        ("a&amp;b.pdf", "a&amp;b.pdf"),
        ("100%22.pdf", "100%22.pdf"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        (" \t ", "_"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\temp\\a.pdf", "C:_temp_a.pdf"),
        ("gpj.\u202efdp.exe", "gpj._fdp.exe"),
        ("a\u0085b\u009fc\u0000d\r\ne.pdf", "a_b_c_d__e.pdf"),
        ("a\u2028b\u2066c\ufeffd.pdf", "a_b_c_d.pdf"),
        ("\ud800.pdf", "_.pdf"),
        ("и\u0306.pdf", "й.pdf"),
        ("  two   words .pdf ", "two words .pdf"),
        ("🙂.pdf", "🙂.pdf"),
        ("x" * 255, "x" * 255),
        ("x" * 300, "x" * 255),
        ("д" * 300 + ".pdf", "д" * 251 + ".pdf"),
        ("." + "x" * 300, "." + "x" * 254),
        ("a." + "x" * 300, "a." + "x" * 253),
        ("a" * 300 + "." + "x" * 16, "a" * 238 + "." + "x" * 16),
        ("a" * 300 + "." + "x" * 17, "a" * 255),
    ],
)
def test_what_is_shown(name: str, shown: str):
    assert displayed(name) == shown


def test_every_character_is_harmless():
    for number in [*range(0x3000), 0xE0001, 0xFFF9, *range(0xD800, 0xE000), 0x1F600]:
        shown = displayed(f"a{chr(number)}b")
        assert not any(unicodedata.category(character).startswith(("C", "Zl", "Zp")) for character in shown if
                       unicodedata.category(character) not in {"Cn", "Co"})  # fmt: skip
        assert not set(shown) & set("/\\\n\r\0")
        assert shown

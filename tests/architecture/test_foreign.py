"""No third-party code stands in the tree: libraries come from locked wheels."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parent.parent.parent
# A licence of ours stands at the top and nowhere else.
OURS = {"LICENSE"}
FOLDERS = {"vendor", "node_modules", "third_party", "bower_components", "site-packages"}
NAMES = re.compile(
    r"(\.min\.(js|css)|\.map|\.whl|\.jar|\.so|\.dll|\.woff2?|^licen[cs]e.*|^copying.*|^notice.*)$", re.IGNORECASE
)
CODE = {".js", ".css", ".mjs"}
BANNER = re.compile(r"/\*!|@license|\(c\) ?(19|20)\d\d|copyright", re.IGNORECASE)
LONGEST_LINE = 400


def foreign(name: str, text: str) -> str:
    """Why a file looks like another project's, or an empty string."""
    path = Path(name)
    if FOLDERS & set(path.parts):
        return "stands in a folder of other people's code"
    if name not in OURS and NAMES.search(path.name):
        return "has the name of a built or licensed file"
    if path.suffix in CODE and BANNER.search(text):
        return "carries the banner of a library"
    if path.suffix in CODE and max(map(len, text.splitlines()), default=0) > LONGEST_LINE:
        return "is minified"
    return ""


def test_no_file_of_the_tree_is_another_projects():
    listed = subprocess.run(["git", "ls-files"], cwd=BASE, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    foreign_files = {
        name: why
        for name in filter(None, listed)
        if (BASE / name).is_file() and (why := foreign(name, (BASE / name).read_text(errors="replace")))
    }
    assert foreign_files == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("static/vendor/chart/chart.js", "x"),
        ("static/portal/htmx.min.js", "x"),
        ("static/portal/LICENSE", "MIT"),
        ("static/portal/library.js", "/*! library 1.2 */\nfoo()"),
        ("static/portal/library.css", "/* Copyright 2020 Another */"),
        ("static/portal/library.js", "a" * (LONGEST_LINE + 1)),
        ("static/portal/font.woff2", ""),
    ],
)
def test_a_planted_file_is_noticed(name: str, text: str):
    assert foreign(name, text)


def test_a_file_of_ours_is_left_alone():
    assert foreign("static/portal/portal.js", "// Keys.\nfoo();\n") == ""

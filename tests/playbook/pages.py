"""The pages of the playbook as a reader types them: `$ ` begins a command, the lines below it are the expected output.

Only fences marked `sh` are typed; `console` is for commands that cannot run here: on another machine, or for hours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from landcontracts.embedded.stack import BASE

FOLDER = BASE / "migrations_playbook"
PAGES = ("1-apart", "2-shadow", "3-canary", "4-copy", "5-cutover", "6-ending")
ANYTHING = "…"
_FENCE = re.compile(r"^(?P<indent> *)```sh\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command of a page, and the lines that its output has to have, in this order."""

    line: int
    text: str
    expected: tuple[str, ...]


class BadPage(Exception):
    """A fence that cannot be typed."""


def commands(page: Path) -> list[Command]:
    """Every command of a page, from top to bottom. Raises: BadPage."""
    text = page.read_text()
    typed: list[Command] = []
    for fence in _FENCE.finditer(text):
        first = text[: fence.start()].count("\n") + 2
        for number, line in enumerate(fence["body"].splitlines(), first):
            bare = line.removeprefix(fence["indent"])
            if bare.startswith("$ "):
                typed.append(Command(number, bare[2:], ()))
            elif not typed or typed[-1].line < first:
                raise BadPage(f"{page.name}:{number}: a fence begins with a command: {bare}")
            else:
                typed[-1] = typed[-1]._replace(expected=(*typed[-1].expected, bare))
    return typed


def missing(expected: tuple[str, ...], output: str, names: Mapping[str, str]) -> str:
    """The first expected line that is missing, or ''. Blanks count as one, `…` is anything, names are filled in."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for pattern in expected:
        filled = re.sub(r"\$(\w+)", lambda name: names.get(name[1], name[0]), " ".join(pattern.split()))
        parts = [re.escape(part.strip()) for part in filled.split(ANYTHING)]
        if not any(re.search(".*".join(parts), line) for line in lines):
            return pattern
    return ""

"""Reads the recipes of `docs/extending.md` and applies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = "docs/extending.md"
FILE = re.compile(r"^`([\w./-]+)`")
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITES = re.compile(r"#\s+(.*)$")


class Unfit(Exception):
    """A change does not fit the file: its place is not there, or there twice."""


class Recipe(NamedTuple):
    """A change by name: what it does to which file, what is run, and the files that this writes besides."""

    name: str
    changes: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    written: frozenset[str]

    @property
    def files(self) -> set[str]:
        """Every file that is changed."""
        return {path for path, _ in self.changes} | self.written

    def apply(self, tree: Path) -> None:
        """Change the files. Raises: Unfit."""
        for path, diff in self.changes:
            file = tree / path
            file.write_text(patched(file.read_text() if file.exists() else "", diff, path))


def recipes(text: str) -> list[Recipe]:
    """The recipes of the page: the sections of its third level."""
    found = []
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
        lines = [line for block in COMMANDS.findall(section) for line in block.splitlines() if line.strip()]
        notes = [match[1] for line in lines if (match := WRITES.search(line))]
        found.append(
            Recipe(
                name=section.partition("\n")[0],
                changes=tuple(_changes(section)),
                commands=tuple(re.sub(r"\s+#.*", "", line) for line in lines),
                written=frozenset(path for note in notes for path in note.split(", ")),
            )
        )
    return found


def _changes(section: str) -> Iterator[tuple[str, str]]:
    """Each file that a line begins with, and the block of changes below it."""
    path, block = "", None
    for line in section.splitlines():
        if block is not None:
            if line.startswith("```"):
                yield path, "".join(block)
                block = None
            else:
                block.append(f"{line}\n")
        elif line.startswith("```diff"):
            block = []
        elif match := FILE.match(line):
            path = match[1]


def patched(text: str, diff: str, name: str) -> str:
    """A file with each hunk of a diff in its place. A last context line without its end stands for a line that begins so."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines()
        before = [line[1:] for line in lines if not line.startswith("+")]
        after = [line[1:] for line in lines if not line.startswith("-")]
        if not before:
            if text:
                raise Unfit(f"{name} is there already")
            text = "".join(f"{line}\n" for line in after)
            continue
        text = _replaced(text, before, after, name)
    return text


def _replaced(text: str, before: list[str], after: list[str], name: str) -> str:
    # A definition shown on both sides of what comes is one line of the file: the new lines stand before it.
    if len(before) == 2 and before[0] == before[1]:
        before, after = before[1:], after[1:]
    old, new = "\n".join(before), "\n".join(after)
    count = len(re.findall(rf"^{re.escape(old)}", text, re.MULTILINE))
    if count == 0:
        raise Unfit(f"{name} has no such place:\n{old}")
    if count > 1 and not old.startswith("@"):
        raise Unfit(f"{name} has this place {count} times:\n{old}")
    return re.sub(rf"^{re.escape(old)}", lambda _: new, text, count=1, flags=re.MULTILINE)

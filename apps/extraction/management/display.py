"""How a run is shown: on a terminal one line that is written over, in a file lines, and few that say much the same."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from apps.extraction.state.phases import PHASES, Phase

# A display that is kept in a file has a line only each so often for what is much the same.
EACH_SECONDS = 10.0
BAR = 20
REWRITE = "\r\x1b[K"


class Display:
    """Says what goes on, since when, and how far it is."""

    def __init__(self, write: Callable[[str], Any], *, is_terminal: bool | None = None) -> None:
        self._write = write
        self._is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._said = ""
        self._at = -EACH_SECONDS
        self._began = time.monotonic()

    def begin(self, phase: Phase) -> None:
        """A phase begins."""
        self.write_line(f"[{phase.number}/{len(PHASES)}] {phase.words}  (migrations_playbook/{phase.page})", indent="")
        self._at = -EACH_SECONDS

    def show(self, words: str, part: float | None = None) -> None:
        """What goes on in it, and the part of 1 that is done where that is known."""
        now = time.monotonic()
        if self._is_terminal:
            columns = shutil.get_terminal_size().columns
            sys.stdout.write(f"{REWRITE}{self._line(_bar(part) + words)[: columns - 1]}")
            sys.stdout.flush()
        elif words != self._said and now - self._at >= EACH_SECONDS:
            self._said, self._at = words, now
            self._write(self._line((f"{part:.0%}  " if part is not None else "") + words))

    def write_line(self, words: str, *, indent: str | None = None) -> None:
        """Something that stays."""
        if self._is_terminal:
            sys.stdout.write(REWRITE)
        self._write(self._line(words) if indent is None else f"{indent}{words}")

    def end_line(self) -> None:
        """What comes next is somebody else's."""
        if self._is_terminal:
            sys.stdout.write(REWRITE)
            sys.stdout.flush()

    def _line(self, words: str) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        hours, minutes = divmod(minutes, 60)
        return f"  {hours:d}:{minutes:02d}:{seconds:02d}  {words}"


def _bar(part: float | None) -> str:
    if part is None:
        return ""
    done = round(part * BAR)
    return f"[{'#' * done}{'.' * (BAR - done)}] {part:>4.0%}  "

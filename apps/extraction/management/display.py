"""Shows a run: on a terminal one line that is rewritten, in a file lines, at most one in ten seconds for progress."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from apps.extraction.state.phases import PHASES, Phase

# In a file, progress gets a line only this often.
EACH_SECONDS = 10.0
BAR = 20
REWRITE = "\r\x1b[K"


class Display:
    """Shows what is being done, for how long, and the progress."""

    def __init__(self, write: Callable[[str], Any], *, is_terminal: bool | None = None) -> None:
        self._write = write
        self._is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._last_words = ""
        self._last_at = -EACH_SECONDS
        self._began = time.monotonic()

    def begin(self, phase: Phase) -> None:
        """Write the heading of a phase."""
        self.write_line(f"[{phase.number}/{len(PHASES)}] {phase.words}  (migrations_playbook/{phase.page})", indent="")
        self._last_at = -EACH_SECONDS

    def show(self, words: str, part: float | None = None) -> None:
        """Show what is being done, and the part of 1 that is done if that is known."""
        now = time.monotonic()
        if self._is_terminal:
            columns = shutil.get_terminal_size().columns
            sys.stdout.write(f"{REWRITE}{self._line(_bar(part) + words)[: columns - 1]}")
            sys.stdout.flush()
        elif words != self._last_words and now - self._last_at >= EACH_SECONDS:
            self._last_words, self._last_at = words, now
            self._write(self._line((f"{part:.0%}  " if part is not None else "") + words))

    def write_line(self, words: str, *, indent: str | None = None) -> None:
        """Write a line that stays."""
        if self._is_terminal:
            sys.stdout.write(REWRITE)
        self._write(self._line(words) if indent is None else f"{indent}{words}")

    def end_line(self) -> None:
        """Clear the rewritten line before other output."""
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
    filled = round(part * BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {part:>4.0%}  "

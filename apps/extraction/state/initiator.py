"""The person or process on whose behalf an action is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

WriteLine = Callable[[str], None]
# Progress: in words, and as a part of 1 if that is known.
Show = Callable[[str, float | None], None]


class Initiator(NamedTuple):
    """Who acts, from where and why, and where the action's lines go.

    `stop_before` and `take_over` are for drills and emergencies.

    `asked` is the id of the record of the request that this action answers. Without `show`, progress goes to
    `write_line` as well.
    """

    who: str
    where: str
    reason: str = ""
    write_line: WriteLine = lambda _: None
    stop_before: str = ""
    take_over: bool = False
    asked: UUID | None = None
    show: Show | None = None

    def progress(self, words: str, done: int, total: int) -> None:
        """Show how much of `total` is done."""
        if self.show is None:
            self.write_line(words)
        else:
            self.show(words, min(done / total, 1.0) if total else None)

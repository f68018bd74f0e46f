"""On whose behalf an action is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

Tell = Callable[[str], None]
# How far something is: in words, and as a part of 1 where that is known.
Show = Callable[[str, float | None], None]


class Initiator(NamedTuple):
    """Who acts, from where and why, and where the action's lines go. `stop_before` and `take_over` are for drills and emergencies.

    `asked` is the record of a request that this action answers. Without `show`, progress goes to `tell` as well.
    """

    who: str
    where: str
    reason: str = ""
    tell: Tell = lambda _: None
    stop_before: str = ""
    take_over: bool = False
    asked: UUID | None = None
    show: Show | None = None

    def progress(self, words: str, done: int, total: int) -> None:
        """Show how far something is."""
        if self.show is None:
            self.tell(words)
        else:
            self.show(words, min(done / total, 1.0) if total else None)

"""The checks before an action: each says what it saw, and a check that does not hold refuses the action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Check(NamedTuple):
    """One check: its name, whether it holds, and what was seen."""

    name: str
    holds: bool
    seen: str


class ActionFailed(Exception):
    """An action was not done, or not to its end; the message says why.

    Its record ends as failed, or as refused if `Refused`.
    """


class Refused(ActionFailed):
    """A check does not hold; `checks` are all checks that ran."""

    def __init__(self, checks: list[Check]) -> None:
        self.checks = checks
        super().__init__("; ".join(f"{check.name}: {check.seen}" for check in checks if not check.holds))


def require(checks: list[Check]) -> None:
    """Refuse unless every check holds. Raises: Refused."""
    if not all(check.holds for check in checks):
        raise Refused(checks)


def lines(checks: Iterable[Check]) -> Iterator[str]:
    """The checks as lines of text."""
    for check in checks:
        yield f"{'ok     ' if check.holds else 'REFUSED'} {check.name:<18} {check.seen}"

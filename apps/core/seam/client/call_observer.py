"""Calls of services that some people reach elsewhere, handed to whoever compares the sides.

Here: the hand-over, which costs a caller a microsecond, and nothing while everybody is at home. Not here: what is made of it; the
control plane's observer sets itself with `observe_with`, and a process without one hands nothing over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from apps.core.interface.operations import Operation


class ObservedCall(NamedTuple):
    """One call. `chosen` is the side that the route named, `answered` the one that did answer, `seconds` as its caller waited.

    `outcome` is `ok`, the category of a refusal, or `fault`; `result` is a command's, None unless it is `ok`. `because` is the kind of failure for
    which another side answered than the chosen one.
    """

    operation: Operation
    unit: str
    chosen: str
    answered: str
    outcome: str
    seconds: float
    result: Any
    because: str = ""


log = structlog.get_logger(__name__)
_take: Callable[[ObservedCall], None] | None = None


def observe_with(take: Callable[[ObservedCall], None]) -> None:
    """From now on, hand calls over in this process. `take` may not wait and may not raise."""
    global _take
    _take = take


def offer(seen: ObservedCall) -> None:
    """Hand one call over. What goes wrong with that is not its caller's."""
    if _take is not None:
        try:
            _take(seen)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("call_not_observed", error=repr(error))

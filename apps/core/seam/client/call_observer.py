"""Offers calls of partly remote services to an observer that compares the sides.

Here: the hand-over, which costs a caller a microsecond, and nothing while all calls are local. Not here: the
comparison; the control plane installs its observer with `observe_with`, and a process without one hands nothing over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from apps.core.interface.operations import Operation


class ObservedCall(NamedTuple):
    """One call. The route named the side `chosen`, the side `answered` answered, the caller waited `seconds`.

    `outcome` is `ok`, the category of a refusal, or `fault`; `result` is a command's, None unless it is `ok`. `because`
    is the kind of the chosen side's failure where the other side answered.
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
    """Hand calls over in this process from now on. `take` may not wait and may not raise."""
    global _take
    _take = take


def offer(observed: ObservedCall) -> None:
    """Hand one call over. An error of the observer does not reach the caller."""
    if _take is not None:
        try:
            _take(observed)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("call_not_observed", error=repr(error))

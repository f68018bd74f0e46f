"""What both sides are judged by: events, counted once per unit, and the part of the capital of each bet."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from apps.core.interface.dto import Dto
from apps.extraction.routing.judge.evidence import LESS, MORE, SLOWER, Multiples


class Measure(enum.StrEnum):
    """What is measured. The reason for a ruling of harm is one of these."""

    ERRORS = "errors"
    LATENCY = "latency"
    MISMATCHES = "mismatches"
    BUSINESS = "business"


class Event(enum.StrEnum):
    """What can happen to a unit. Counted at its first time in a step: a unit that fails again still counts once."""

    SEEN = "seen"
    ERROR = "error"  # a call that its side did not answer, or answered with a fault
    ERRORS = "errors"  # three such calls within ten
    SLOW = "slow"  # slower than 95 % of local calls, beyond what is allowed: all calls have become slower
    VERY_SLOW = "very_slow"  # slower than 99.9 %: rare enough that a worse tail is not met by all units at once
    REFUSED = (
        "refused"  # a command that the rules refused, or whose answer says that it failed: a signature without a pass
    )
    ACCEPTED = (
        "accepted"  # a command that did what was asked: a document taken, a signature passed, a contract moved on
    )
    COMPARED = "compared"  # the first query of its kind that both sides were asked
    MISMATCHED = "mismatched"  # and both sides answered differently, beyond noise


class Bet(NamedTuple):
    """One bet of the judge: on an event, in a direction, with a part of the capital."""

    measure: Measure
    event: Event
    multiples: Multiples
    part: float


# The parts add up to 1 together with the two below, so that the stated error rate is over all of them.
BETS = (
    Bet(Measure.ERRORS, Event.ERROR, MORE, 0.60),
    Bet(Measure.ERRORS, Event.ERRORS, MORE, 0.04),
    Bet(Measure.LATENCY, Event.SLOW, SLOWER, 0.03),
    Bet(Measure.LATENCY, Event.VERY_SLOW, SLOWER, 0.11),
    Bet(Measure.BUSINESS, Event.REFUSED, MORE, 0.05),
    Bet(Measure.BUSINESS, Event.ACCEPTED, LESS, 0.04),
    Bet(Measure.BUSINESS, Event.ACCEPTED, MORE, 0.02),
)
MISMATCHES_PART = 0.09
ALONE_PART = 0.01  # of errors, and of latency


class Rules(Dto):
    """How a canary is led. Shares in percent of people, times in seconds; chosen at deploy and kept with it."""

    steps: tuple[float, ...] = (1, 5, 25, 50, 100)
    step_seconds: int = 300
    # A healthy service is rolled back in at most this share of rollouts.
    false_rollback: float = 0.01
    # To go on, it must be known at 95 % that the canary's error rate, 0 to 1, exceeds the local one by no more than
    # this.
    tolerated_errors: float = 0.01
    # A difference of error rates below this rolls nothing back, however certain it is.
    least_harm: float = 0.001
    least_units: int = 5
    least_compared: int = 5
    # Of the first comparisons of each person and query.
    allowed_mismatches: float = 0.005
    # What a remote call may take longer: milliseconds, and a part of its time.
    allowed_slower_ms: float = 25
    allowed_slower: float = 0.5
    # After so many seconds without a call of the canary nothing is known.
    silent_seconds: int = 30
    # After so many seconds without a decision a person is asked.
    patience_seconds: int = 1_800
    shadow_percent: float = 10

    def __post_init__(self) -> None:
        if (
            not self.steps
            or list(self.steps) != sorted(set(self.steps))
            or not 0 < self.steps[0] <= self.steps[-1] <= 100
        ):
            raise ValueError("steps are rising shares above 0 and up to 100 percent")
        if any(round(step, 2) != step for step in self.steps):
            raise ValueError("a share has at most two decimals")
        if not 0 < self.false_rollback <= 0.5:
            raise ValueError("false_rollback is a probability above 0 and up to 0.5")
        if min(self.step_seconds, self.least_units, self.silent_seconds, self.patience_seconds) < 1:
            raise ValueError("times and least numbers are 1 or more")
        if not (0 < self.tolerated_errors < 1 and 0 < self.allowed_mismatches < 1 and 0 <= self.least_harm < 1):
            raise ValueError("rates are between 0 and 1")
        if (
            not (0 <= self.allowed_slower_ms < math.inf and 0 <= self.allowed_slower < math.inf)
            or not 0 <= self.shadow_percent <= 100
        ):
            raise ValueError("what is allowed is not negative, and shadow_percent is 0 to 100")

    def span(self, step: int) -> tuple[float, float]:
        """The share before a step and at it, in percent."""
        return (self.steps[step - 1] if step else 0.0), self.steps[step]

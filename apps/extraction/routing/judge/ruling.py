"""Rules on a canary: harm, clear to go on, watching, or not known.

Errs to the local side: `not known` never goes on.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.extraction.routing.judge import evidence
from apps.extraction.routing.judge.evidence import Firsts
from apps.extraction.routing.judge.measures import ALONE_PART, BETS, MISMATCHES_PART, Event, Measure, Rules

# Calls that the canary would have had and did not have: by chance once in twenty thousand.
MISSED = 10
# Units are not split as the flag says, to a degree that chance gives once in so many.
SPLIT = 10_000
# Without a local side to compare with, at least this share of units may meet an error, and twice the local share of the
# step before. If nearly all may, nothing can be said.
ALONE_ALLOWED, ALONE_SILENT = 0.02, 0.9
ALL = 100.0
# The percentage of local calls that are faster.
QUANTILES = {Event.SLOW: 95.0, Event.VERY_SLOW: 99.9}


class Verdict(enum.StrEnum):
    """The outcome of a ruling. Only `CLEAR` lets a canary go on, and only `HARM` rolls it back."""

    HARM = "harm"
    CLEAR = "clear"
    WATCHING = "watching"
    NOT_KNOWN = "not_known"


class Reason(enum.StrEnum):
    """The reason for a ruling. Each has its sentence in `explanation.py`."""

    ERRORS = "errors"
    LATENCY = "latency"
    MISMATCHES = "mismatches"
    BUSINESS = "business"
    ALONE = "alone"
    FLAG_TURNED = "flag_turned"
    NOT_OBSERVED = "not_observed"
    SILENT = "silent"
    SPLIT = "split"
    TOO_LITTLE = "too_little"
    DOUBT = "doubt"
    TIME = "time"
    CALLS = "calls"
    UNITS = "units"
    COMPARED = "compared"
    CLEAR = "clear"


class Calls(NamedTuple):
    """Calls of one side in the present step, and how many of them failed."""

    calls: int = 0
    errors: int = 0

    @property
    def rate(self) -> float:
        """The share that failed."""
        return self.errors / self.calls if self.calls else 0.0


class Observation(NamedTuple):
    """The counts that one ruling is based on. Shares in percent, times in seconds.

    `firsts`, `compared` and `mismatched` are of the whole rollout, `firsts` by period; everything else is of the
    present step. `observed_ago` is how long ago any process reported, None if none has; `missed` is how many calls the
    canary would have had since its last. `local_failing_rate` and `local_slow_rate` are the rates at which local units
    met their first error and their first very slow call in the step before, 1/s.
    """

    step: int
    seconds: float
    firsts: Mapping[Event, Sequence[Firsts]]
    canary: Calls
    local: Calls
    canary_units: int
    local_units: int
    failing_units: int
    local_failing_units: int
    compared: int
    mismatched: int
    is_shadowed: bool
    observed_ago: float | None
    missed: float
    is_flag_ours: bool
    slow_units: int = 0
    local_failing_rate: float = 0.0
    local_slow_rate: float = 0.0


class Ruling(NamedTuple):
    """A verdict, its reason and its numbers. `evidence` is by measure, with `all` for the sum; 1 means none."""

    verdict: Verdict
    reason: Reason
    evidence: dict[str, float]
    numbers: dict[str, float]


def rule(rules: Rules, observation: Observation) -> Ruling:
    """Rule on one observation. The same counts always give the same ruling."""
    weighed = weigh(rules, observation)
    total = sum(weighed.values())
    numbers = _numbers(rules, observation)
    evidence = {str(name): value for name, value in weighed.items()} | {"all": total}

    def ruled(verdict: Verdict, reason: Reason) -> Ruling:
        return Ruling(verdict, reason, evidence, numbers)

    if not observation.is_flag_ours:
        return ruled(Verdict.NOT_KNOWN, Reason.FLAG_TURNED)
    if total >= 1 / rules.false_rollback:
        return ruled(Verdict.HARM, _heaviest(weighed, alone=_is_alone(rules, observation)))
    if (hindrance := _unknown(rules, observation)) is not None:
        return ruled(Verdict.NOT_KNOWN, hindrance)
    if (missing := _missing(rules, observation, total)) is not None:
        if observation.seconds > rules.patience_seconds:
            return ruled(Verdict.NOT_KNOWN, Reason.TOO_LITTLE)
        return ruled(Verdict.WATCHING, missing)
    return ruled(Verdict.CLEAR, Reason.CLEAR)


def weigh(rules: Rules, observation: Observation) -> dict[Measure, float]:
    """The evidence of each measure; their sum reaches x with a probability of at most 1/x for a harmless service."""
    by_measure = dict.fromkeys(Measure, 0.0)
    for bet in BETS:
        by_measure[bet.measure] += bet.part * evidence.capital(observation.firsts.get(bet.event, ()), bet.multiples)
    if _is_too_small(rules, observation):
        by_measure[Measure.ERRORS] = min(by_measure[Measure.ERRORS], 1.0)
    by_measure[Measure.MISMATCHES] = MISMATCHES_PART * evidence.above(
        observation.mismatched, observation.compared, rules.allowed_mismatches
    )
    alone = {
        Measure.ERRORS: (observation.failing_units, observation.local_failing_rate),
        Measure.LATENCY: (observation.slow_units, observation.local_slow_rate),
    }
    for measure, (units, rate) in alone.items():
        by_measure[measure] += ALONE_PART * (
            _beyond_before(observation, units, rate) if _is_alone(rules, observation) else 1.0
        )
    return by_measure


def _beyond_before(observation: Observation, units: int, rate: float) -> float:
    """Evidence that more units met an event than twice the local rate in the step before would give."""
    allowed = max(ALONE_ALLOWED, -math.expm1(-2 * rate * observation.seconds))
    return 1.0 if allowed > ALONE_SILENT else evidence.above(units, observation.canary_units, allowed)


def _is_too_small(rules: Rules, observation: Observation) -> bool:
    """Whether the canary's error rate exceeds the local one by too little to matter, both by calls and by units.

    By both: a local unit that fails all day would hide a canary's failures among calls, and a long step hides those of
    its last minutes among units.
    """
    if _is_alone(rules, observation):
        return False
    canary_rate = observation.failing_units / observation.canary_units if observation.canary_units else 0.0
    local_rate = observation.local_failing_units / observation.local_units if observation.local_units else 0.0
    return max(observation.canary.rate - observation.local.rate, canary_rate - local_rate) < rules.least_harm


def _is_alone(rules: Rules, observation: Observation) -> bool:
    """Whether all people are on the canary's side, so that there is no local side to compare with."""
    return rules.steps[observation.step] >= ALL


def _heaviest(weighed: Mapping[Measure, float], *, alone: bool) -> Reason:
    measure = max(weighed, key=lambda name: weighed[name])
    return Reason.ALONE if alone and measure is Measure.ERRORS else Reason(measure.value)


def _unknown(rules: Rules, observation: Observation) -> Reason | None:
    """The reason why nothing can be said about the canary, if there is one."""
    if observation.observed_ago is None or observation.observed_ago > rules.silent_seconds:
        return Reason.NOT_OBSERVED if observation.seconds > rules.silent_seconds else None
    if observation.missed >= MISSED:
        return Reason.SILENT
    if not _is_alone(rules, observation):
        before, share = rules.span(observation.step)
        drawn = (share - before) / (ALL - before)
        if evidence.otherwise_split(observation.canary_units, observation.local_units, drawn) > SPLIT:
            return Reason.SPLIT
    return None


def _missing(rules: Rules, observation: Observation, total: float) -> Reason | None:
    """The first condition for going on that does not hold yet, or None."""
    if total >= rules.false_rollback**-0.5:
        return Reason.DOUBT
    if observation.seconds < rules.step_seconds or observation.observed_ago is None:
        return Reason.TIME
    if observation.canary_units < rules.least_units:
        return Reason.UNITS
    if (
        evidence.highest(observation.canary.errors, observation.canary.calls) - observation.local.rate
        > rules.tolerated_errors
    ):
        return Reason.CALLS
    if observation.is_shadowed and observation.compared < rules.least_compared:
        return Reason.COMPARED
    return None


def _numbers(rules: Rules, observation: Observation) -> dict[str, float]:
    numbers = {
        "share": rules.steps[observation.step],
        "seconds": round(observation.seconds, 1),
        "canary_calls": observation.canary.calls,
        "canary_errors": observation.canary.errors,
        "home_calls": observation.local.calls,
        "home_errors": observation.local.errors,
        "canary_units": observation.canary_units,
        "home_units": observation.local_units,
        "canary_failing": observation.failing_units,
        "home_failing": observation.local_failing_units,
        "compared": observation.compared,
        "mismatched": observation.mismatched,
        "missed": round(observation.missed, 1),
        "at_most": evidence.highest(observation.canary.errors, observation.canary.calls),
    }
    slow = _heavier_slow(observation)
    numbers["slower_than"] = QUANTILES[slow]
    for name, event in (("slow", slow), ("accepted", Event.ACCEPTED), ("refused", Event.REFUSED)):
        numbers[f"canary_{name}"], numbers[f"home_{name}"] = _in_rollout(observation, event)
    return numbers


def _heavier_slow(observation: Observation) -> Event:
    """The event of the two bets on slowness that has won more."""
    won = {
        bet.event: bet.part * evidence.capital(observation.firsts.get(bet.event, ()), bet.multiples)
        for bet in BETS
        if bet.event in QUANTILES
    }
    return max(won, key=lambda event: won[event])


def _in_rollout(observation: Observation, event: Event) -> tuple[int, int]:
    periods = observation.firsts.get(event, ())
    return sum(period.canary for period in periods), sum(period.local for period in periods)

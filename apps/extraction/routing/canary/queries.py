"""The judge's observation of a canary, read from the tables in one snapshot of the control database."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from apps.core.flags.models import Flag
from apps.extraction.routing.canary import latencies
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.routing.judge.evidence import Firsts
from apps.extraction.routing.judge.measures import Event, Rules
from apps.extraction.routing.judge.ruling import ALL, Calls, Observation

PERIOD_SECONDS = 60
# The local quantiles are taken from the calls of these last seconds.
THRESHOLDS_FROM_SECONDS = 600

FIRSTS = """
SELECT step, event, floor(extract(epoch FROM at - %(began)s) / %(period)s)::bigint, count(*) FILTER (WHERE away),
    count(*) FILTER (WHERE NOT away)
FROM extraction_canaryfirst WHERE canary_id = %(canary)s AND event NOT IN ('compared', 'mismatched')
GROUP BY 1, 2, 3 ORDER BY 1, 3
"""
COMPARED = """
SELECT count(DISTINCT unit) FILTER (WHERE event = 'compared'), count(DISTINCT unit) FILTER (WHERE event = 'mismatched')
FROM extraction_canaryfirst WHERE canary_id = %s AND event IN ('compared', 'mismatched')
"""
CALLS = """
SELECT away, coalesce(sum(calls), 0), coalesce(sum(errors), 0) FROM extraction_canarycalls
WHERE canary_id = %s AND step = %s GROUP BY away
"""
SINCE = """
WITH last AS (SELECT max(at) AS at FROM extraction_canarycalls WHERE canary_id = %(canary)s AND step = %(step)s AND away)
SELECT coalesce(sum(calls), 0) FROM extraction_canarycalls, last
WHERE canary_id = %(canary)s AND step = %(step)s AND NOT away
    AND extraction_canarycalls.at > coalesce(last.at, '-infinity')
"""
BEFORE = """
SELECT count(*) FILTER (WHERE event = 'seen'), count(*) FILTER (WHERE event = %(event)s), extract(epoch FROM max(at) - min(at))
FROM extraction_canaryfirst WHERE canary_id = %(canary)s AND step = %(step)s AND event IN ('seen', %(event)s) AND NOT away
"""
OBSERVED = "SELECT extract(epoch FROM statement_timestamp() - max(at)) FROM extraction_callobserver"
TIMES = """
SELECT method, array_agg(total ORDER BY place) FROM (
    SELECT method, place, sum(count) AS total FROM extraction_canarycalls, unnest(times) WITH ORDINALITY AS bucket(count, place)
    WHERE canary_id = %s AND step >= %s AND NOT away AND at > statement_timestamp() - make_interval(secs => %s) GROUP BY method, place
) AS counted GROUP BY method
"""


class _Read(NamedTuple):
    canary: CanaryDeployment
    rules: Rules


def rules_of(canary: CanaryDeployment) -> Rules:
    """The rules that the canary was deployed with."""
    return msgspec.convert(canary.rules, Rules)


def observation(canary: CanaryDeployment) -> Observation:
    """Everything the judge rules on."""
    rules = rules_of(canary)
    read = _Read(canary, rules)
    firsts, totals = _firsts(read)
    calls, before = _calls(read, canary.step), _calls(read, canary.step - 1) if canary.step else {}
    is_alone = rules.steps[canary.step] >= ALL
    canary_units, local_units = totals.get(Event.SEEN, (0, 0))
    failing_units, local_failing_units = totals.get(Event.ERROR, (0, 0))
    slow_units, _ = totals.get(Event.VERY_SLOW, (0, 0))
    compared, mismatched = _one(COMPARED, [canary.id])
    (observed_ago,) = _one(OBSERVED, [])
    return Observation(
        step=canary.step,
        seconds=_seconds(canary),
        firsts=firsts,
        canary=calls.get(True, Calls()),
        # When all people are remote, the step before shows what the local side is like.
        local=(before if is_alone else calls).get(False, Calls()),
        canary_units=canary_units,
        local_units=local_units,
        failing_units=failing_units,
        local_failing_units=local_failing_units,
        compared=compared,
        mismatched=mismatched,
        is_shadowed=rules.shadow_percent > 0,
        observed_ago=None if observed_ago is None else float(observed_ago),
        missed=_missed(read),
        is_flag_ours=is_flag_ours(canary, rules),
        slow_units=slow_units,
        local_failing_rate=_local_rate(read, Event.ERROR) if is_alone and canary.step else 0.0,
        local_slow_rate=_local_rate(read, Event.VERY_SLOW) if is_alone and canary.step else 0.0,
    )


def is_flag_ours(canary: CanaryDeployment, rules: Rules) -> bool:
    """Whether the flag has this step's share.

    Its row stays locked until the transaction ends, so that no change is lost.
    """
    flag = Flag.objects.select_for_update().filter(name=f"{canary.service}_remote").first()
    return flag is not None and flag.everyone is None and float(flag.percent) == rules.steps[canary.step]


def now() -> datetime:
    """The database's clock."""
    (value,) = _one("SELECT clock_timestamp()", [])
    moment: datetime = value
    return moment


def thresholds(canary: CanaryDeployment) -> dict[str, tuple[float | None, float | None]]:
    """The local 95 % and 99.9 % quantile by method, s; None where there were too few calls."""
    with connection.cursor() as cursor:
        cursor.execute(TIMES, [canary.id, canary.step - 1, THRESHOLDS_FROM_SECONDS])
        return {
            method: (latencies.quantile(counts, 0.95), latencies.quantile(counts, 0.999))
            for method, counts in cursor.fetchall()
        }


def _firsts(read: _Read) -> tuple[dict[Event, list[Firsts]], dict[Event, tuple[int, int]]]:
    """Every event's firsts by period, from the rollout's beginning, and this step's totals."""
    began, rows = read.canary.started_at, []
    with connection.cursor() as cursor:
        cursor.execute(FIRSTS, {"began": began, "period": PERIOD_SECONDS, "canary": read.canary.id})
        rows = cursor.fetchall()
    counted: dict[Event, dict[tuple[int, int], tuple[int, int]]] = {}
    totals: dict[Event, tuple[int, int]] = {}
    for step, name, period, remote, local in rows:
        event = Event(name)
        counted.setdefault(event, {})[step, period] = (remote, local)
        if step == read.canary.step:
            total = totals.get(event, (0, 0))
            totals[event] = (total[0] + remote, total[1] + local)
    periods = list(_periods(read))
    return {event: _in_order(read, periods, counts) for event, counts in counted.items()}, totals


def _periods(read: _Read) -> Iterator[tuple[int, int]]:
    """Every (step, period) that has begun and has two sides, in order; periods without an event are included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT step, floor(extract(epoch FROM at - %s) / %s)::bigint FROM extraction_canaryfirst WHERE canary_id = %s "
            "AND event = 'seen' GROUP BY 1, 2 ORDER BY 1, 2",
            [read.canary.started_at, PERIOD_SECONDS, read.canary.id],
        )
        periods: list[tuple[int, int]] = cursor.fetchall()
    return iter(periods)


def _in_order(
    read: _Read, periods: list[tuple[int, int]], counts: dict[tuple[int, int], tuple[int, int]]
) -> list[Firsts]:
    firsts = []
    for step, period in sorted({*periods, *counts}):
        before, share = read.rules.span(step)
        if share < ALL:
            firsts.append(Firsts((share - before) / (ALL - before), *counts.get((step, period), (0, 0))))
    return firsts


def _calls(read: _Read, step: int) -> dict[bool, Calls]:
    with connection.cursor() as cursor:
        cursor.execute(CALLS, [read.canary.id, step])
        return {away: Calls(calls, errors) for away, calls, errors in cursor.fetchall()}


def _local_rate(read: _Read, event: Event) -> float:
    """The rate at which local units met an event for the first time in the step before, 1/s."""
    units, met, seconds = _one(BEFORE, {"canary": read.canary.id, "step": read.canary.step - 1, "event": event.value})
    if not units or not seconds:
        return 0.0
    return -math.log1p(-min(met / units, 0.999)) / float(seconds)


def _missed(read: _Read) -> float:
    """Calls that the canary would have had since its last one, at the local rate and the flag's share."""
    share = read.rules.steps[read.canary.step]
    if share >= ALL:
        return 0.0
    (local_since,) = _one(SINCE, {"canary": read.canary.id, "step": read.canary.step})
    return float(local_since) * share / (ALL - share)


def _seconds(canary: CanaryDeployment) -> float:
    (seconds,) = _one("SELECT extract(epoch FROM statement_timestamp() - %s::timestamptz)", [canary.step_started_at])
    return float(seconds)


def _one(sql: str, parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] = cursor.fetchone()
    return row

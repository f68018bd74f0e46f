"""The curves of a service's page: both sides' errors and times, the judge's evidence, the share, a copy's lag."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from apps.datasync.interface import Sync
from apps.extraction.dashboard.labels import number
from apps.extraction.routing.canary import history, queries
from apps.extraction.routing.canary.history import Point
from apps.extraction.routing.canary.models import CanaryDeployment

Number = float | None
# Widths of a slot, s: the narrowest that gives at most POINTS points.
WIDTHS = (5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400)
POINTS = 180
# Counts arrive some seconds late; a slot older than this no longer changes, and is read once.
SETTLED_SECONDS = 30
CURVE_KEPT_SECONDS = 3_600
SAMPLES, SAMPLES_KEPT_SECONDS = 400, 3_600
# What a logarithmic axis can show.
LEAST, MOST = 0.01, 1e12
EVIDENCE = """
SELECT extract(epoch FROM date_bin(make_interval(secs => %(width)s), at, 'epoch'))::float8, max((evidence->>'all')::float8)
FROM extraction_canaryentry WHERE canary_id = %(canary)s AND evidence->>'all' IS NOT NULL GROUP BY 1 ORDER BY 1
"""
ROWS_SHOWN = 30


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart: times in seconds since 1970, and a series of values for each label, None where not known.

    `kind` is `line`, `steps` or `log`; `limit` is drawn across.
    """

    name: str
    title: str
    unit: str
    kind: str
    labels: tuple[str, ...]
    at: tuple[float, ...]
    series: tuple[tuple[Number, ...], ...]
    limit: float | None = None
    limit_words: str = ""
    note: str = ""

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """As a table for people who cannot see the chart: at most thirty rows, evenly chosen, the newest first."""
        step = max(1, -(-len(self.at) // ROWS_SHOWN))
        chosen = range(len(self.at) - 1, -1, -step)
        return [(_moment(self.at[index]), [_shown(values[index]) for values in self.series]) for index in chosen]


def of(canary: CanaryDeployment | None, sync: Sync | None) -> list[Chart]:
    """Every chart that has data."""
    charts = []
    if canary is not None:
        points = _points(canary)
        charts = [_errors(points), _times(points), _evidence(canary), _share(canary)]
    if sync is not None:
        charts += _copying(sync)
    return charts


def width_of(canary: CanaryDeployment) -> int:
    """The width of a slot of its curves, s."""
    lasted = ((canary.ended_at or timezone.now()) - canary.started_at).total_seconds()
    return next((width for width in WIDTHS if lasted / width <= POINTS), WIDTHS[-1])


def _points(canary: CanaryDeployment) -> list[Point]:
    """The curve; only its last slots are read from the database each time."""
    width = width_of(canary)
    key = f"extraction.dashboard.curve.{canary.id}.{width}"
    settled: list[Point] = []
    with contextlib.suppress(redis.RedisError, msgspec.MsgspecError):
        settled = msgspec.json.decode(cache.get(key) or "[]", type=list[Point])
    since = settled[-1].at + timedelta(seconds=width) if settled else None
    newer = history.curve(canary.id, seconds=width, since=since)
    edge = timezone.now() - timedelta(seconds=SETTLED_SECONDS + width)
    if newly_settled := [point for point in newer if point.at < edge]:
        with contextlib.suppress(redis.RedisError):
            cache.set(key, msgspec.json.encode(settled + newly_settled).decode(), CURVE_KEPT_SECONDS)
    return settled + newer


def _two_sides(points: list[Point], value: Callable[[Point], Number]) -> tuple[tuple[float, ...], Any, Any]:
    slots = sorted({point.at for point in points})
    values = {(point.at, point.is_remote): value(point) for point in points}
    remote, local = (tuple(values.get((slot, side)) for slot in slots) for side in (True, False))
    return tuple(slot.timestamp() for slot in slots), remote, local


def _errors(points: list[Point]) -> Chart:
    at, remote, local = _two_sides(
        points, lambda point: round(100 * point.errors / point.calls, 3) if point.calls else None
    )
    return Chart(
        name="errors",
        title=gettext("Calls that failed"),
        unit="%",
        kind="line",
        labels=(gettext("remote"), gettext("local")),
        at=at,
        series=(remote, local),
    )


def _times(points: list[Point]) -> Chart:
    at, remote, local = _two_sides(points, lambda point: _ms(point.median))
    _, remote_slow, local_slow = _two_sides(points, lambda point: _ms(point.slow))
    return Chart(
        name="latency",
        title=gettext("Time of a call"),
        unit=gettext("ms"),
        kind="line",
        labels=(gettext("remote, median"), gettext("local, median"), gettext("remote, p95"), gettext("local, p95")),
        at=at,
        series=(remote, local, remote_slow, local_slow),
        note=gettext("A time is known to 19 %. Where too few calls were made to say it, the line has a gap."),
    )


def _ms(seconds: float | None) -> Number:
    return None if seconds is None else round(seconds * 1000, 2)


def _evidence(canary: CanaryDeployment) -> Chart:
    with connection.cursor() as cursor:
        cursor.execute(EVIDENCE, {"width": width_of(canary), "canary": canary.id})
        rows = cursor.fetchall()
    limit = 1 / queries.rules_of(canary).false_rollback
    return Chart(
        name="evidence",
        title=gettext("The judge's evidence against the canary"),
        unit=gettext("to 1"),
        kind="log",
        labels=(gettext("evidence"),),
        at=tuple(at for at, _ in rows),
        series=(tuple(min(max(value, LEAST), MOST) for _, value in rows),),
        limit=limit,
        limit_words=gettext("%(limit)s: the canary is rolled back") % {"limit": number(round(limit))},
        note=gettext("1 is no evidence at all. A healthy service reaches the line in at most one rollout of %(limit)s.")
        % {"limit": number(round(limit))},
    )


def _share(canary: CanaryDeployment) -> Chart:
    entries = canary.entries.exclude(action="judge").order_by("id").values_list("at", "action", "share")
    at, shares = [], []
    for moment, action, share in entries:
        at.append(moment.timestamp())
        shares.append(0.0 if action == "roll-back" else float(share))
    if shares:  # up to now, or to its end
        at.append(max((canary.ended_at or timezone.now()).timestamp(), at[-1] + 0.001))
        shares.append(shares[-1])
    return Chart(
        name="share",
        title=gettext("People served remotely"),
        unit="%",
        kind="steps",
        labels=(gettext("share"),),
        at=tuple(at),
        series=(tuple(shares),),
    )


def _copying(sync: Sync) -> list[Chart]:
    """Samples taken while the page is open: a synchronisation keeps only its newest figures."""
    samples = _sampled(sync)
    at = tuple(sample[0] for sample in samples)
    note = gettext("Drawn while this page is open.")
    behind = Chart(
        name="lag",
        title=gettext("How far its own database is behind"),
        unit=gettext("s"),
        kind="line",
        labels=(gettext("behind"),),
        at=at,
        series=(tuple(sample[1] for sample in samples),),
        note=note,
    )
    rows = Chart(
        name="rows",
        title=gettext("Rows copied"),
        unit=gettext("rows"),
        kind="line",
        labels=(gettext("copied"), gettext("about all")),
        at=at,
        series=(tuple(sample[2] for sample in samples), tuple(sample[3] for sample in samples)),
        note=note,
    )
    return [rows, behind]


def _sampled(sync: Sync) -> list[tuple[float, Number, float, float]]:
    key = f"extraction.dashboard.sync.{sync.sync_id}"
    samples: list[tuple[float, Number, float, float]] = []
    with contextlib.suppress(redis.RedisError, msgspec.MsgspecError):
        samples = msgspec.json.decode(cache.get(key) or "[]", type=list[tuple[float, float | None, float, float]])
    now = time.time()
    if not samples or now - samples[-1][0] >= 1:
        lag = None if sync.lag_seconds is None else float(sync.lag_seconds)
        total = max(sync.records_total, sync.records_processed)
        samples = [*samples[1 - SAMPLES :], (now, lag, float(sync.records_processed), float(total))]
        with contextlib.suppress(redis.RedisError):
            cache.set(key, msgspec.json.encode(samples).decode(), SAMPLES_KEPT_SECONDS)
    return samples


def _moment(seconds: float) -> str:
    at = timezone.localtime(datetime.fromtimestamp(seconds, tz=UTC))
    return f"{date_format(at, 'SHORT_DATE_FORMAT')} {at:%H:%M:%S}"


def _shown(value: Number) -> str:
    if value is None:
        return "—"
    return number(round(value, 2) if value < 1000 else int(value))

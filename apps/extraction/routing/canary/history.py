"""The history of canaries: the newest of each service, their curves, and how long rows are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from apps.extraction.routing.canary import latencies
from apps.extraction.routing.canary.models import CallObserver, CanaryCalls, CanaryDeployment, CanaryEntry, CanaryFirst

COUNTS_KEPT = timedelta(days=30)
RULINGS_KEPT = timedelta(days=90)
OBSERVERS_KEPT = timedelta(days=1)

COUNTED = """
SELECT date_bin(make_interval(secs => %(seconds)s), at, %(began)s), away, sum(calls), sum(errors), sum(refused)
FROM extraction_canarycalls WHERE canary_id = %(canary)s AND at >= %(since)s GROUP BY 1, 2 ORDER BY 1, 2
"""
TIMED = """
SELECT slot, away, array_agg(total ORDER BY place) FROM (
    SELECT date_bin(make_interval(secs => %(seconds)s), at, %(began)s) AS slot, away, place, sum(count) AS total
    FROM extraction_canarycalls, unnest(times) WITH ORDINALITY AS bucket(count, place)
    WHERE canary_id = %(canary)s AND at >= %(since)s GROUP BY 1, 2, 3
) AS counted GROUP BY slot, away ORDER BY slot, away
"""


class Point(NamedTuple):
    """One side within one slot of time. Times in seconds, None where there were too few calls."""

    at: datetime
    is_remote: bool
    calls: int
    errors: int
    refused: int
    median: float | None
    slow: float | None


def newest() -> list[CanaryDeployment]:
    """Each service's newest canary."""
    return list(CanaryDeployment.objects.order_by("service", "-started_at").distinct("service"))


def observed_at() -> datetime | None:
    """When any process last reported calls."""
    at: datetime | None = CallObserver.objects.aggregate(at=Max("at"))["at"]
    return at


def curve(canary_id: UUID, *, seconds: int = 10, since: datetime | None = None) -> list[Point]:
    """Both sides' calls, errors and times, in slots of `seconds`; from `since` on, if it is given."""
    began = datetime.fromtimestamp(0, tz=timezone.get_default_timezone())
    parameters: dict[str, Any] = {"seconds": seconds, "began": began, "canary": canary_id, "since": since or began}
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, parameters)
        counted = cursor.fetchall()
        cursor.execute(TIMED, parameters)
        timed = {(slot, away): counts for slot, away, counts in cursor.fetchall()}
    points = []
    for slot, away, calls, errors, refused in counted:
        times = timed.get((slot, away), [])
        median, slow = latencies.quantile(times, 0.5), latencies.quantile(times, 0.95)
        points.append(Point(slot, away, calls, errors, refused, median, slow))
    return points


def forget() -> int:
    """Delete expired counts and rulings; returns how many rows. Actions on a canary are kept for ever."""
    now = timezone.now()
    deleted = 0
    for model in (CanaryFirst, CanaryCalls):
        deleted += model.objects.filter(at__lt=now - COUNTS_KEPT, canary__ended_at__isnull=False).delete()[0]
    deleted += CanaryEntry.objects.filter(at__lt=now - RULINGS_KEPT, action="judge").delete()[0]
    return deleted + CallObserver.objects.filter(at__lt=now - OBSERVERS_KEPT).delete()[0]

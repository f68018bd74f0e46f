"""Shadow comparisons counted: by service and method, and by the fields in which the sides differ."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import connection


class Tally(NamedTuple):
    """One method's comparisons. The medians are in milliseconds; `noisy` counts answers that differ by themselves."""

    service: str
    method: str
    compared: int
    matched: int
    mismatched: int
    noisy: int
    failed: int
    asked_twice: int
    primary_ms: float
    other_ms: float


class Field(NamedTuple):
    """One field in which the sides differ. `noise` is how often the same side differed from itself in it."""

    service: str
    method: str
    field: str
    mismatched: int
    noise: int
    share: float
    noise_share: float
    last_seen: datetime

    @property
    def percent_beyond_noise(self) -> float:
        """The percentage of comparisons with this difference, less that in which one side differs from itself."""
        return 100 * max(self.share - self.noise_share, 0.0)


TALLIES = """
SELECT service, method, count(*),
    count(*) FILTER (WHERE verdict = 'match'), count(*) FILTER (WHERE verdict = 'mismatch'),
    count(*) FILTER (WHERE verdict = 'noise'), count(*) FILTER (WHERE verdict = 'failed'),
    count(*) FILTER (WHERE asked_twice),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY primary_ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY other_ms)
FROM extraction_shadowcomparison WHERE %s = '' OR service = %s GROUP BY service, method ORDER BY service, method
"""
# Noise is measured on those comparisons in which the primary was asked twice, so its share is of those.
FIELDS = """
WITH compared AS (
    SELECT service, method, count(*) AS all_of_them, count(*) FILTER (WHERE asked_twice) AS twice
    FROM extraction_shadowcomparison GROUP BY service, method),
differing AS (
    SELECT service, method, unnest(fields) AS field, 1 AS mismatched, 0 AS noise, compared_at FROM extraction_shadowcomparison
    UNION ALL
    SELECT service, method, unnest(noise), 0, 1, compared_at FROM extraction_shadowcomparison)
SELECT service, method, field, sum(mismatched), sum(noise), sum(mismatched)::float / min(all_of_them),
    sum(noise)::float / greatest(min(twice), 1), max(compared_at)
FROM differing JOIN compared USING (service, method) WHERE %s = '' OR service = %s
GROUP BY service, method, field ORDER BY sum(mismatched) DESC, service, method, field LIMIT 500
"""


def tallies(service: str = "") -> list[Tally]:
    """Each method that was shadowed, of one service or of all."""
    with connection.cursor() as cursor:
        cursor.execute(TALLIES, [service, service])
        return [Tally(*row) for row in cursor.fetchall()]


def fields(service: str = "") -> list[Field]:
    """Each field that ever differed, worst first."""
    with connection.cursor() as cursor:
        cursor.execute(FIELDS, [service, service])
        return [Field(*row) for row in cursor.fetchall()]

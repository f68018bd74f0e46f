"""Counts of shadow comparisons: by service and method, and by the fields in which the sides differ."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from apps.core.flags.models import FlagChange


class Tally(NamedTuple):
    """One method's comparisons. The medians are in milliseconds; `noisy` counts answers of one side that vary."""

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


class Present(NamedTuple):
    """Comparisons since the shadow flag was last changed. `failed` had no answer from the other side."""

    matched: int
    mismatched: int
    failed: int


class Field(NamedTuple):
    """A field in which the sides differ beyond noise. `noise`: how often a difference was one side's own variation."""

    service: str
    method: str
    field: str
    mismatched: int
    noise: int
    percent: float
    noise_percent: float
    last_seen: datetime


TALLIES = """
SELECT service, method, count(*),
    count(*) FILTER (WHERE verdict = 'match'), count(*) FILTER (WHERE verdict = 'mismatch'),
    count(*) FILTER (WHERE verdict = 'noise'), count(*) FILTER (WHERE verdict = 'failed'),
    count(*) FILTER (WHERE asked_twice),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY primary_ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY other_ms)
FROM extraction_shadowcomparison WHERE %s = '' OR service = %s GROUP BY service, method ORDER BY service, method
"""
# One side's own variation was subtracted from each comparison already. Its rate is measured on the comparisons in which
# the primary was asked twice whether anything differed or not.
FIELDS = """
WITH compared AS (
    SELECT service, method, count(*) AS all_of_them, count(*) FILTER (WHERE asked_twice) AS twice
    FROM extraction_shadowcomparison GROUP BY service, method),
differing AS (
    SELECT service, method, unnest(fields) AS field, 1 AS mismatched, 0 AS noise, 0 AS measured, compared_at
    FROM extraction_shadowcomparison
    UNION ALL
    SELECT service, method, unnest(noise), 0, 1, asked_twice::int, compared_at FROM extraction_shadowcomparison)
SELECT service, method, field, sum(mismatched), sum(noise), 100.0 * sum(mismatched) / min(all_of_them),
    100.0 * sum(measured) / greatest(min(twice), 1), max(compared_at)
FROM differing JOIN compared USING (service, method) WHERE %s = '' OR service = %s
GROUP BY service, method, field ORDER BY sum(mismatched) DESC, service, method, field LIMIT 500
"""

PRESENT = """
SELECT count(*) FILTER (WHERE verdict = 'match'), count(*) FILTER (WHERE verdict = 'mismatch'),
    count(*) FILTER (WHERE verdict = 'failed')
FROM extraction_shadowcomparison WHERE service = %s AND compared_at >= (
    SELECT max(pgh_created_at) FROM {changes} WHERE name = %s)
"""


def present(service: str) -> Present:
    """A service's comparisons since its shadow flag was last changed."""
    with connection.cursor() as cursor:
        changes = connection.ops.quote_name(FlagChange._meta.db_table)
        cursor.execute(PRESENT.format(changes=changes), [service, f"{service}_shadow"])
        return Present(*cursor.fetchone())


def tallies(service: str = "") -> list[Tally]:
    """The counts of each shadowed method, of one service or of all."""
    with connection.cursor() as cursor:
        cursor.execute(TALLIES, [service, service])
        return [Tally(*row) for row in cursor.fetchall()]


def fields(service: str = "") -> list[Field]:
    """Each field that ever differed, worst first."""
    with connection.cursor() as cursor:
        cursor.execute(FIELDS, [service, service])
        return [Field(*row) for row in cursor.fetchall()]

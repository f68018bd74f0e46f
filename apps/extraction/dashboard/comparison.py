"""Both sides' errors and times next to each other: over the last minutes of each service's newest canary, the one period in which
both sides answered the same people's calls at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from django.db import connection

from apps.extraction.routing.canary import latencies

WINDOW_SECONDS = 600
# Eighty sums over one scan: unnesting the buckets of ten minutes takes ten times as long.
SUMS = ", ".join(f"coalesce(sum(times[{place}]), 0)" for place in range(1, latencies.COUNT + 1))
SIDES = f"""
SELECT canary_id, away, sum(calls), sum(errors), ARRAY[{SUMS}]
FROM extraction_canarycalls c JOIN extraction_canarydeployment d ON d.id = c.canary_id
WHERE c.canary_id = ANY(%s) AND c.at > coalesce(d.ended_at, statement_timestamp()) - make_interval(secs => %s)
GROUP BY canary_id, away
"""


class Side(msgspec.Struct, frozen=True):
    """One side's calls. `times` are counts by bucket (`latencies.py`)."""

    calls: int = 0
    errors: int = 0
    times: tuple[int, ...] = (0,) * latencies.COUNT

    def __add__(self, other: Side) -> Side:
        """Both together."""
        times = tuple(ours + theirs for ours, theirs in zip(self.times, other.times, strict=True))
        return Side(self.calls + other.calls, self.errors + other.errors, times)

    @property
    def rate(self) -> float | None:
        """The share of calls that failed; None without any."""
        return self.errors / self.calls if self.calls else None

    def quantile(self, share: float) -> float | None:
        """A quantile of its times, s."""
        return latencies.quantile(self.times, share)


class Sides(msgspec.Struct, frozen=True):
    """Away and home over the same time."""

    away: Side = Side()
    home: Side = Side()

    def __add__(self, other: Sides) -> Sides:
        """Both services together."""
        return Sides(self.away + other.away, self.home + other.home)

    def cost(self, share: float) -> tuple[float, float] | None:
        """What being answered away costs at a quantile: s, and as a part of home's time. None where too few calls say so."""
        away, home = self.away.quantile(share), self.home.quantile(share)
        return None if away is None or home is None else (away - home, (away - home) / home)


def of(canaries: Sequence[UUID]) -> dict[UUID, Sides]:
    """Both sides by canary, over its last ten minutes."""
    found: dict[UUID, dict[bool, Side]] = {}
    with connection.cursor() as cursor:
        cursor.execute(SIDES, [list(canaries), WINDOW_SECONDS])
        for canary, away, calls, errors, times in cursor.fetchall():
            found.setdefault(canary, {})[away] = Side(int(calls), int(errors), tuple(map(int, times)))
    return {canary: Sides(sides.get(True, Side()), sides.get(False, Side())) for canary, sides in found.items()}

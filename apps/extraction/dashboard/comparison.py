"""Both sides' errors and times over the last minutes of each service's newest canary.

It is the one period in which both sides answered the same people's calls at the same time.
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
        """The sum of both."""
        times = tuple(mine + others for mine, others in zip(self.times, other.times, strict=True))
        return Side(self.calls + other.calls, self.errors + other.errors, times)

    @property
    def rate(self) -> float | None:
        """The share of calls that failed; None without any."""
        return self.errors / self.calls if self.calls else None

    def quantile(self, share: float) -> float | None:
        """A quantile of its times, s."""
        return latencies.quantile(self.times, share)


class Sides(msgspec.Struct, frozen=True):
    """The remote and the local side over the same time."""

    remote: Side = Side()
    local: Side = Side()

    def __add__(self, other: Sides) -> Sides:
        """The sum of both services."""
        return Sides(self.remote + other.remote, self.local + other.local)

    def cost(self, share: float) -> tuple[float, float] | None:
        """The cost of a remote call at a quantile: s, and as a part of the local time.

        None if there are too few calls.
        """
        remote, local = self.remote.quantile(share), self.local.quantile(share)
        return None if remote is None or local is None else (remote - local, (remote - local) / local)


def of(canaries: Sequence[UUID]) -> dict[UUID, Sides]:
    """Both sides by canary, over its last ten minutes."""
    by_canary: dict[UUID, dict[bool, Side]] = {}
    with connection.cursor() as cursor:
        cursor.execute(SIDES, [list(canaries), WINDOW_SECONDS])
        for canary, remote, calls, errors, times in cursor.fetchall():
            by_canary.setdefault(canary, {})[remote] = Side(int(calls), int(errors), tuple(map(int, times)))
    return {canary: Sides(sides.get(True, Side()), sides.get(False, Side())) for canary, sides in by_canary.items()}

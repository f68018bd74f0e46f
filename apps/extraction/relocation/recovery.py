"""What the worker looks after: a cutover that was left between its two commits, while people wait, is finished without anybody asking."""

from __future__ import annotations

from django.conf import settings

from apps.core.database import primaries
from apps.core.postgres import connections
from apps.extraction.relocation import cutover
from apps.extraction.relocation.actions import RESUME
from apps.extraction.state import stages
from apps.extraction.state.action import FAILURES
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.stages import SHARED


def look_after() -> list[str]:
    """What a periodic look finds to be done: cutovers that were left closed for longer than anyone should wait are finished.

    Returns what was done, in words.
    """
    done = []
    for service in _left_closed():
        by = Initiator("watch", "worker", "a cutover was left closed", take_over=True)
        try:
            move = RESUME.perform(service, by)
            done.append(f"{service}: {move.facts}")
        except FAILURES as error:
            done.append(f"{service}: {error}")
    return done


def _left_closed() -> list[str]:
    if not settings.CONTROL_URLS:
        return []
    limit = settings.CUTOVER_LEFT_SECONDS
    query = (
        "SELECT service FROM extraction.fence WHERE closed > 0"
        " AND closed_at < clock_timestamp() - make_interval(secs => %s)"
    )
    names: set[str] = set()
    with connections.control(SHARED) as shared:
        moving = [str(row[0]) for row in shared.execute("SELECT service FROM extraction.fence WHERE moving")]
        names.update(str(row[0]) for row in shared.execute(query, [limit]))
    for service in moving:
        if primaries.is_movable(service) and connections.is_configured(service):
            with connections.control(service) as own:
                names.update(str(row[0]) for row in own.execute(query, [limit]))
    return [service for service in sorted(names) if _is_left(service, limit)]


def _is_left(service: str, limit: int) -> bool:
    """Whether no database is the primary, and none has been for so long: the side that was closed last says since when."""
    with stages.pair(service) as found:
        if (origin := cutover.left_by(found)) is None:
            return False
        row = (
            found.side(origin)
            .execute(
                "SELECT closed_at < clock_timestamp() - make_interval(secs => %s) FROM extraction.fence WHERE service = %s",
                [limit, service],
            )
            .fetchone()
        )
        return bool(row and row[0])

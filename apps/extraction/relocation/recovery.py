"""Finishes, from the worker, a cutover that was left between its two commits while writes wait."""

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


def finish_abandoned() -> list[str]:
    """Finish every cutover that was left closed for longer than CUTOVER_LEFT_SECONDS; returns a line about each."""
    lines = []
    for service in _left_closed():
        initiator = Initiator("watch", "worker", "a cutover was left closed", take_over=True)
        try:
            move = RESUME.perform(service, initiator)
            lines.append(f"{service}: {move.facts}")
        except FAILURES as error:
            lines.append(f"{service}: {error}")
    return lines


def _left_closed() -> list[str]:
    if not settings.CONTROL_URLS:
        return []
    limit_seconds = settings.CUTOVER_LEFT_SECONDS
    query = (
        "SELECT service FROM extraction.fence WHERE closed > 0"
        " AND closed_at < clock_timestamp() - make_interval(secs => %s)"
    )
    names: set[str] = set()
    with connections.control(SHARED) as shared:
        moving = [str(row[0]) for row in shared.execute("SELECT service FROM extraction.fence WHERE moving")]
        names.update(str(row[0]) for row in shared.execute(query, [limit_seconds]))
    for service in moving:
        if primaries.is_movable(service) and connections.is_configured(service):
            with connections.control(service) as own:
                names.update(str(row[0]) for row in own.execute(query, [limit_seconds]))
    return [service for service in sorted(names) if _is_left(service, limit_seconds)]


def _is_left(service: str, limit_seconds: int) -> bool:
    """Whether no database is the primary, and the side that was closed last has been so for the limit."""
    with stages.pair(service) as pair:
        if (origin := cutover.left_by(pair)) is None:
            return False
        row = (
            pair.side(origin)
            .execute(
                "SELECT closed_at < clock_timestamp() - make_interval(secs => %s) FROM extraction.fence WHERE service = %s",
                [limit_seconds, service],
            )
            .fetchone()
        )
        return bool(row and row[0])

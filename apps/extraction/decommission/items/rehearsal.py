"""rollback_rehearsed: a rollback was done within LIMIT, on copies or for real."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.state.models import Move, Outcome

LIMIT = timedelta(days=30)
ACTIONS = ("rehearse", "rollback")


def rollback_rehearsed(service: str) -> Finding:
    """The latest completed rehearsal or rollback, if it is recent enough."""
    move = (
        Move.objects.filter(service=service, verb__in=ACTIONS, outcome=Outcome.DONE, ended_at__isnull=False)
        .order_by("-ended_at")
        .first()
    )
    if move is None or move.ended_at is None:
        return fails(f"no rollback was ever rehearsed: manage.py extraction {service} rehearse")
    evidence = {"move": str(move.id), "verb": move.verb, "ended_at": move.ended_at.isoformat(), "who": move.who}
    if timezone.now() - move.ended_at > LIMIT:
        return fails(
            f"the last {move.verb} was on {move.ended_at:%Y-%m-%d}, more than {LIMIT.days} days ago", **evidence
        )
    return holds(
        f"{move.verb} on {move.ended_at:%Y-%m-%d} by {move.who}", valid_until=move.ended_at + LIMIT, **evidence
    )

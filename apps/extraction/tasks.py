"""The worker's entry points: forgetting old comparisons, finishing cutovers that were left, acting for the admin."""

from __future__ import annotations

import structlog
from celery import shared_task

from apps.core.observability import spans
from apps.extraction import checklist, recorder
from apps.extraction.canary import history, steering
from apps.extraction.models import Move, Outcome
from apps.extraction.moving import acting, watching
from apps.extraction.moving.verbs import VERBS

log = structlog.get_logger(__name__)


@shared_task(name="extraction.forget")
def forget() -> None:
    """Old comparisons, and what was counted during old canaries."""
    recorder.forget()
    history.forget()


@shared_task(name="extraction.judge")
def judge() -> None:
    """Every canary under way is looked at."""
    steering.look_at_all()


@shared_task(name="extraction.look_after")
def look_after() -> None:
    """Cutovers that were left half-way."""
    for words in watching.look_after():
        log.warning("cutover_looked_after", done=words)


@shared_task(name="extraction.act")
def act(move_id: str) -> None:
    """An action that somebody asked for in the admin, once: who and why is in its record, and not in the message."""
    asked = Move.objects.filter(id=move_id, outcome=Outcome.ASKED)
    if not asked.update(outcome=Outcome.RUNNING):
        return
    move = Move.objects.get(id=move_id)
    by = acting.By(move.who, move.where, move.reason, asked=move.id)
    try:
        with spans.job(f"extraction.{move.verb}"):
            VERBS[move.verb](move.service, by)
    except acting.PROBLEMS as error:
        log.warning("action_ended", app=move.service, verb=move.verb, error=str(error))


@shared_task(name="extraction.check")
def check(service: str, items: list[str]) -> None:
    """Items of a service's checklist, or all of them, looked at again."""
    checklist.run(service, items)

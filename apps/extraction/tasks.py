"""The worker's entry points: forgetting old comparisons, finishing cutovers that were left, acting for the admin."""

from __future__ import annotations

import structlog
from celery import shared_task

from apps.extraction import recorder
from apps.extraction.moving import acting
from apps.extraction.moving.verbs import VERBS

log = structlog.get_logger(__name__)


@shared_task(name="extraction.forget")
def forget() -> None:
    """Old comparisons."""
    recorder.forget()


@shared_task(name="extraction.look_after")
def look_after() -> None:
    """Cutovers that were left half-way."""
    for words in acting.look_after():
        log.warning("cutover_looked_after", done=words)


@shared_task(name="extraction.act")
def act(service: str, verb: str, who: str, reason: str) -> None:
    """An action that somebody asked for in the admin; how it goes is in its record."""
    try:
        VERBS[verb](service, acting.By(who, "admin", reason))
    except acting.PROBLEMS as error:
        log.warning("action_ended", service=service, verb=verb, error=str(error))

"""The worker's entry points: forgetting old comparisons, finishing cutovers that were left, acting for the admin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from celery import shared_task
from django.db import close_old_connections

from apps.core.observability import spans
from apps.extraction.decommission import results
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.relocation import recovery
from apps.extraction.routing.canary import controller, history
from apps.extraction.routing.shadow import recorder
from apps.extraction.state.action import FAILURES
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move, Outcome

log = structlog.get_logger(__name__)
_long = ThreadPoolExecutor(max_workers=4, thread_name_prefix="long")
_checking = threading.Lock()
_checked: set[str] = set()


@shared_task(name="extraction.forget")
def forget() -> None:
    """Old comparisons, and what was counted during old canaries."""
    recorder.forget()
    history.forget()


@shared_task(name="extraction.judge")
def judge() -> None:
    """Every canary under way is looked at."""
    controller.judge_all()


@shared_task(name="extraction.look_after")
def look_after() -> None:
    """Cutovers that were left half-way."""
    for words in recovery.look_after():
        log.warning("cutover_looked_after", done=words)


@shared_task(name="extraction.act", bind=True)
def act(self: Any, move_id: str) -> None:
    """An action that somebody asked for in the admin, once: who and why is in its record, and not in the message."""
    _beside(self, _act, move_id)


@shared_task(name="extraction.check", bind=True)
def check(self: Any, service: str, items: list[str]) -> None:
    """Items of a service's checklist, or all of them, looked at again. While they are, who asks again is answered by that."""
    _beside(self, _check, service, items)


def _beside(task: Any, work: Callable[..., None], *given: Any) -> None:
    """Work of minutes or hours in a thread of its own: the clock's ticks, the judge's above all, need the worker's."""
    if task.request.called_directly:
        work(*given)
    else:
        _long.submit(_finished, work, *given)


def _finished(work: Callable[..., None], *given: Any) -> None:
    try:
        work(*given)
    except Exception:
        log.exception("long_work_failed", work=work.__name__)
    finally:
        close_old_connections()


def _act(move_id: str) -> None:
    asked = Move.objects.filter(id=move_id, outcome=Outcome.ASKED)
    if not asked.update(outcome=Outcome.RUNNING):
        return
    move = Move.objects.get(id=move_id)
    initiator = Initiator(move.who, move.where, move.reason, asked=move.id)
    try:
        with spans.job(f"extraction.{move.verb}"):
            ACTIONS[move.verb].perform(move.service, initiator)
    except FAILURES as error:
        log.warning("action_ended", app=move.service, verb=move.verb, error=str(error))


def _check(service: str, items: list[str]) -> None:
    with _checking:
        if service in _checked:
            return
        _checked.add(service)
    try:
        results.run(service, items)
    finally:
        _checked.discard(service)

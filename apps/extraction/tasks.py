"""The worker's tasks: delete expired rows, judge canaries, finish abandoned cutovers, act and check for the admin."""

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
_long_work = ThreadPoolExecutor(max_workers=4, thread_name_prefix="long")
_services_lock = threading.Lock()
_services_checked: set[str] = set()


@shared_task(name="extraction.forget")
def forget() -> None:
    """Delete expired comparisons, and expired counts of canaries."""
    recorder.forget()
    history.forget()


@shared_task(name="extraction.judge")
def judge() -> None:
    """Judge every open canary."""
    controller.judge_all()


@shared_task(name="extraction.look_after")
def look_after() -> None:
    """Finish cutovers that were left half-way."""
    for words in recovery.finish_abandoned():
        log.warning("cutover_looked_after", done=words)


@shared_task(name="extraction.act", bind=True)
def act(self: Any, move_id: str) -> None:
    """Perform, once, an action requested in the admin: who and why is in its record, and not in the message."""
    _beside(self, _act, move_id)


@shared_task(name="extraction.check", bind=True)
def check(self: Any, service: str, items: list[str]) -> None:
    """Check items of a service's checklist, or all, again. A request during a check of the service is dropped."""
    _beside(self, _check, service, items)


def _beside(task: Any, work: Callable[..., None], *arguments: Any) -> None:
    """Run work of minutes or hours in a thread of its own: the worker is needed for the clock's ticks."""
    if task.request.called_directly:
        work(*arguments)
    else:
        _long_work.submit(_run_and_close, work, *arguments)


def _run_and_close(work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(*arguments)
    except Exception:
        log.exception("long_work_failed", work=work.__name__)
    finally:
        close_old_connections()


def _act(move_id: str) -> None:
    requested = Move.objects.filter(id=move_id, outcome=Outcome.ASKED)
    if not requested.update(outcome=Outcome.RUNNING):
        return
    move = Move.objects.get(id=move_id)
    initiator = Initiator(move.who, move.where, move.reason, asked=move.id)
    try:
        with spans.job(f"extraction.{move.verb}"):
            ACTIONS[move.verb].perform(move.service, initiator)
    except FAILURES as error:
        log.warning("action_ended", app=move.service, verb=move.verb, error=str(error))


def _check(service: str, items: list[str]) -> None:
    with _services_lock:
        if service in _services_checked:
            return
        _services_checked.add(service)
    try:
        results.run(service, items)
    finally:
        _services_checked.discard(service)

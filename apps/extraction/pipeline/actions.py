"""Every action on a service's data, in the order of the command line and the admin; requests one of the worker."""

from __future__ import annotations

import psycopg
from celery import current_app
from django.utils import timezone
from django.utils.translation import gettext
from kombu.exceptions import OperationalError

from apps.core.database import primaries
from apps.core.postgres import connections
from apps.extraction.decommission.action import DECOMMISSION
from apps.extraction.relocation.actions import ABORT, COMMIT, CUTOVER, PREPARE, RESUME, ROLLBACK, SYNC, VERIFY
from apps.extraction.relocation.rehearsal import REHEARSE
from apps.extraction.state import stages
from apps.extraction.state.action import Action
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Stage

ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (PREPARE, REHEARSE, SYNC, VERIFY, CUTOVER, ROLLBACK, COMMIT, DECOMMISSION, RESUME, ABORT)
}


class NotAsked(Exception):
    """The action cannot be asked for; the message says why, in the reader's language."""


def label_of(name: str) -> str:
    """An action's label; the name itself if the action no longer exists."""
    return str(ACTIONS[name].label) if name in ACTIONS else name


def at(stage: Stage | None) -> list[Action]:
    """The actions that make sense at a stage; only the ways out if the stage is not known."""
    return [action for action in ACTIONS.values() if action.is_way_out or stage in action.stages]


def can_move(service: str) -> bool:
    """Whether connections to both databases are configured."""
    return primaries.is_movable(service) and connections.is_configured(service)


def ask(service: str, name: str, *, who: str, reason: str) -> Move:
    """Ask the worker to perform an action; returns the record of the request. Raises: NotAsked."""
    possible = at(_stage(service))
    if name not in {action.name for action in possible} or not can_move(service):
        raise NotAsked(gettext("That is not possible at this stage."))
    if not reason.strip():
        raise NotAsked(gettext("Say why: it is kept in the record."))
    move = Move.objects.create(
        service=service, verb=name, who=who[:254], where="admin", reason=reason.strip()[:500], outcome=Outcome.ASKED
    )
    # By name: the worker has the code and the connections, and this request does not wait.
    try:
        current_app.send_task("extraction.act", args=[str(move.id)], queue="clock", ignore_result=True)
    except OperationalError as error:
        Move.objects.filter(id=move.id).update(
            outcome=Outcome.FAILED, problem=f"not sent: {error}"[:4000], ended_at=timezone.now()
        )
        raise NotAsked(gettext("The worker's queue does not answer: nothing was begun.")) from None
    return move


def _stage(service: str) -> Stage | None:
    try:
        return stages.observe(service).stage
    except (stages.TwoPrimaries, connections.NoWay, psycopg.Error):
        return None

"""The moves of a stage, and the parts that may make them."""

from __future__ import annotations

import contextlib
from datetime import date
from typing import NamedTuple

from django.utils import timezone

from apps.contracts.interface import ContractRights, PartyRole
from apps.core.interface.context import Actor
from apps.workflow.interface import (
    BadActualDate,
    IllegalStageMove,
    StageDecidedByEvent,
    StageNotYours,
    StageStatus,
)
from apps.workflow.logic.types import responsible_for
from apps.workflow.models import Stage, Workflow

S = StageStatus
MOVES: dict[StageStatus, tuple[StageStatus, ...]] = {
    S.PENDING: (),
    S.IN_PROGRESS: (S.COMPLETED, S.BLOCKED),
    S.BLOCKED: (S.IN_PROGRESS, S.COMPLETED),
    S.COMPLETED: (),
    S.CANCELLED: (),
}


class Viewer(NamedTuple):
    """The person who asks, and their rights to the contract."""

    actor: Actor
    rights: ContractRights

    @property
    def has_lawyer(self) -> bool:
        """Whether the contract has a lawyer."""
        return PartyRole.LAWYER in self.rights.filled


def responsible(workflow: Workflow, stage: Stage, *, has_lawyer: bool) -> tuple[str, ...]:
    """The parts that complete a stage; seller and buyer stand in for a lawyer that the contract lacks."""
    roles = responsible_for(workflow.workflow_type, stage.name)
    if "lawyer" in roles and not has_lawyer:
        return tuple(dict.fromkeys((*roles, "seller", "buyer")))
    return roles


def require_allowed(
    actor: Actor, rights: ContractRights, workflow: Workflow, stage: Stage, *, asked: StageStatus, has_lawyer: bool
) -> None:
    """Check that the actor may make a move. Raises: StageDecidedByEvent, StageNotYours, IllegalStageMove."""
    roles = responsible(workflow, stage, has_lawyer=has_lawyer)
    if not roles and asked == S.COMPLETED:
        raise StageDecidedByEvent
    involved = roles or ("seller", "buyer", "agent", "lawyer")
    by_office = actor.has("administrator", "system") or ("registrar" in involved and actor.has("registrar"))
    if not by_office and rights.role not in involved:
        raise StageNotYours(responsible=involved)
    current = StageStatus(stage.status)
    if asked not in MOVES[current]:
        raise IllegalStageMove(current=current, asked=asked, legal=MOVES[current])


def legal(viewer: Viewer, workflow: Workflow, stage: Stage) -> tuple[StageStatus, ...]:
    """The moves of a stage that this person may make, so that a page offers no other."""
    moves = []
    for asked in MOVES[StageStatus(stage.status)]:
        with contextlib.suppress(StageNotYours, StageDecidedByEvent, IllegalStageMove):
            require_allowed(viewer.actor, viewer.rights, workflow, stage, asked=asked, has_lawyer=viewer.has_lawyer)
            moves.append(asked)
    return tuple(moves)


def require_plausible(workflow: Workflow, actual: date) -> None:
    """Check that a date lies between the workflow's start and today. Raises: BadActualDate."""
    if not timezone.localdate(workflow.created_at) <= actual <= timezone.localdate():
        raise BadActualDate

"""Which buttons a stage gets.

Here: whom to offer a move. Not here: whether it is legal, which the workflow decides; this only spares people refusals.
"""

from __future__ import annotations

from apps.contracts.interface import ContractRights
from apps.core.interface.context import Actor
from apps.workflow.interface import Stage, StageStatus

S = StageStatus
NEXT: dict[StageStatus, tuple[StageStatus, ...]] = {
    S.IN_PROGRESS: (S.COMPLETED, S.BLOCKED),
    S.BLOCKED: (S.IN_PROGRESS, S.COMPLETED),
}


def who_completes(stage: Stage, *, has_lawyer: bool) -> tuple[str, ...]:
    """The parts that complete a stage. Where a lawyer should and the contract names none, the parties may as well."""
    if "lawyer" in stage.responsible and not has_lawyer:
        return tuple(dict.fromkeys((*stage.responsible, "seller", "buyer")))
    return stage.responsible


def moves_of(stage: Stage, rights: ContractRights, actor: Actor, *, has_lawyer: bool) -> tuple[StageStatus, ...]:
    """The moves of a stage that this person is offered."""
    moves = NEXT.get(stage.status, ())
    responsible = who_completes(stage, has_lawyer=has_lawyer)
    if not responsible:  # signatures complete it; whoever takes part may report an obstacle
        moves = tuple(move for move in moves if move != S.COMPLETED)
        concerned = rights.role is not None
    else:
        concerned = rights.role is not None and rights.role.value in responsible
    by_office = actor.has("administrator") or ("registrar" in responsible and actor.has("registrar"))
    return moves if concerned or by_office else ()

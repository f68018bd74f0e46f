"""The stages of each workflow type: their order, the days allowed, and the parts that complete them."""

from __future__ import annotations

from typing import NamedTuple

from apps.workflow.interface import WorkflowType

PREPARATION = "preparation"
SIGNING = "signing"
PAYMENT = "payment"
REGISTRATION = "registration"
HANDOVER = "handover"


class StageType(NamedTuple):
    """One stage of a type. `days` count from the stage before; `responsible` is empty if only an event completes it."""

    name: str
    days: int
    responsible: tuple[str, ...]


# Registration of title takes nine working days through a one-stop centre (Federal Law 218-FZ, article 16, part 1).
TYPES: dict[WorkflowType, tuple[StageType, ...]] = {
    WorkflowType.LAND_SALE: (
        StageType(PREPARATION, 7, ("seller", "agent", "lawyer")),
        StageType(SIGNING, 3, ()),
        StageType(PAYMENT, 5, ("seller", "agent", "lawyer")),
        StageType(REGISTRATION, 13, ("lawyer", "registrar")),
        StageType(HANDOVER, 3, ("seller", "buyer", "lawyer")),
    )
}


def responsible_for(workflow_type: str, stage: str) -> tuple[str, ...]:
    """The parts that complete a stage by its type."""
    parts = (item.responsible for item in TYPES[WorkflowType(workflow_type)] if item.name == stage)
    return next(parts, ())

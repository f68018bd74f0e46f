"""The stage of a service at a past time, from the records of actions and flags: nothing else of the past is kept."""

from __future__ import annotations

from datetime import datetime

from apps.core.flags.models import FlagChange
from apps.core.flags.snapshot import OFF, FlagState
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.relocation.actions import VERIFY
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import SHARED, Stage


def stage_at(service: str, moment: datetime) -> Stage:
    """The stage of a service at `moment`."""
    moves = Move.objects.filter(service=service, outcome=Outcome.DONE, ended_at__lt=moment).order_by("ended_at")
    stage: Stage | None = None
    for action, facts, differences in moves.values_list("verb", "facts", "facts__differences"):
        if action == "resume" and "home" in facts:  # it has finished a cutover, forward or back
            stage = Stage.SYNCING if facts["home"] == SHARED else Stage.REVERSIBLE
        elif action == "verify":
            stage = VERIFY.leaves if stage in VERIFY.stages and not differences else stage
        elif action == "abort":  # of a rollback under way, the cutover still counts; else nothing is left
            stage = stage if stage is Stage.REVERSIBLE else None
        elif action in ACTIONS:
            stage = ACTIONS[action].leaves or stage
    return stage if stage is not None else _served(service, moment)


def _served(service: str, moment: datetime) -> Stage:
    remote, shadow = _flag(f"{service}_remote", moment), _flag(f"{service}_shadow", moment)
    return stages.served(remote, shadow)


def _flag(name: str, moment: datetime) -> FlagState:
    change = FlagChange.objects.filter(name=name, pgh_created_at__lt=moment).order_by("-pgh_id").first()
    if change is None or change.pgh_label == "delete":
        return OFF
    return FlagState(change.everyone, float(change.percent), frozenset(map(str, change.actors)))

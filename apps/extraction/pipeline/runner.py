"""Takes a service from its present stage to the last one, and stops where a person has to decide or to look.

Nothing is stored here: stage, canary and sync are read anew at every turn, so that a killed run goes on from where it
was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from apps.core.database import primaries
from apps.core.flags import snapshot
from apps.core.postgres import advisory_locks, leadership
from apps.core.postgres.advisory_locks import Space
from apps.extraction.pipeline import data_phases, routing_phases
from apps.extraction.pipeline.run import AnotherRun, Pipeline
from apps.extraction.routing.canary import controller
from apps.extraction.state import stages
from apps.extraction.state.phases import PHASES, STAGES, Decision, Phase
from apps.extraction.state.stages import Stage


def run(pipeline: Pipeline) -> str:
    """Run turn after turn until the last stage; returns the closing words.

    Raises: Stopped; AnotherRun; what canaries and actions raise (`controller.CanaryRefused`, `action.FAILURES`).
    """
    announced: Phase | None = None
    with alone(pipeline.service, pipeline.initiator.who):
        while True:
            stage = stage_of(pipeline.service)
            if announced != STAGES[stage].phase:
                announced = STAGES[stage].phase
                pipeline.begin(announced)
            closing_words = TURNS[stage](pipeline)
            if closing_words:
                return closing_words


def stage_of(service: str) -> Stage:
    """The stage now. At its last step a canary serves everybody remotely, and is still being judged."""
    snapshot.forget()
    stage = stages.observe(service).stage
    return Stage.CANARY if stage is Stage.REMOTE and controller.open_canary(service) is not None else stage


def plan(service: str) -> Iterator[str]:
    """A line for each phase: whether it is done, and the decisions a person takes in it."""
    current = STAGES[stage_of(service)].phase
    for phase in PHASES:
        mark = "done" if phase.number < current.number else ("here" if phase == current else "")
        decisions = ", ".join(decision.value for decision in phase.decisions)
        yield f"{mark:<4} [{phase.number}/{len(PHASES)}] {phase.words}{f'; decided by a person: {decisions}' if decisions else ''}"


@contextlib.contextmanager
def alone(service: str, who: str) -> Iterator[None]:
    """Hold the lock of this service's only run. It is bound to a session and ends with the process.

    Raises: AnotherRun.
    """
    key = f"{leadership.NAME} {service} run"
    with primaries.connect(stages.SHARED) as connection:
        connection.execute("SELECT set_config('application_name', %s, false)", [f"{key} by {who}"[:60]])
        if not advisory_locks.acquire(connection, Space.LEADERSHIP, key):
            holders = advisory_locks.holders(connection, Space.LEADERSHIP, key)
            names = ", ".join(holder.application for holder in holders)
            raise AnotherRun(f"{names or 'another run'} is under way")
        yield


TURNS: dict[Stage, Callable[[Pipeline], str]] = {
    Stage.IN_PROCESS: routing_phases.leave_the_process,
    Stage.SHADOW: routing_phases.compare,
    Stage.CANARY: routing_phases.follow_canary,
    Stage.REMOTE: data_phases.copy,
    Stage.SYNCING: data_phases.verify,
    Stage.VERIFIED: data_phases.switch(Decision.CUTOVER),
    Stage.CUTTING: data_phases.finish_switch,
    Stage.REVERSIBLE: data_phases.switch(Decision.COMMIT),
    Stage.COMMITTED: data_phases.switch(Decision.DECOMMISSION),
    Stage.DECOMMISSIONED: data_phases.end,
}

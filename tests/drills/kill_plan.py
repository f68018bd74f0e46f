"""Which fault comes next: every step, victim and kind in turn, the least frequent first."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from tests.drills.kill_faults import CONTROLLER, KINDS, SOURCE, TARGET, VICTIMS

# A cutover's steps as its journal names them: the boundaries to kill at, `end` being after the last.
STEPS = {
    "cutover": ("way back", "vacuum", "close", "marker", "open", "end"),
    "rollback": ("vacuum", "close", "marker", "open", "end"),
}
BOUNDARIES = STEPS["cutover"]
AT_RANDOM = "random"
# A random moment differs each time, so it is drawn more often.
RANDOM_WEIGHT = 3
WATCH, RESUME, ABORT = "watch", "resume", "abort"
LEAVES_CLOSED = frozenset({CONTROLLER, SOURCE, TARGET})
BEFORE_CLOSED = frozenset({"way back", "vacuum", "close", "end"})


class Fault(NamedTuple):
    """A victim, its fault and the step before which it comes."""

    action: str
    step: str
    victim: str
    kind: str


class Plan:
    """Deals faults; all randomness comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._faults: Counter[Fault] = Counter()
        self._steps: Counter[tuple[str, str]] = Counter()
        self._kinds: Counter[tuple[str, str]] = Counter()

    def deal(self, action: str) -> Fault:
        """The next fault for an action."""
        every = [
            Fault(action, step, victim, kind)
            for step in (*STEPS[action], AT_RANDOM)
            for victim in VICTIMS
            for kind in KINDS
        ]
        return min(every, key=self._rank)

    def record(self, fault: Fault) -> None:
        """Count a fault that was injected."""
        self._faults[fault] += 1
        self._steps[fault.action, fault.step] += 1
        self._kinds[fault.victim, fault.kind] += 1

    def _rank(self, fault: Fault) -> tuple[float, ...]:
        weight = RANDOM_WEIGHT if fault.step == AT_RANDOM else 1
        steps = sum(count for (_, step), count in self._steps.items() if step == fault.step)
        return (
            self._faults[fault] // weight,
            min(steps, 1),
            self._steps[fault.action, fault.step] // weight,
            self._kinds[fault.victim, fault.kind],
            self.random.random(),
        )

    def way_out(self, fault: Fault) -> str:
        """How it is recovered from. An abort before the close ends the synchronisation, which takes long to begin again."""
        is_often_closed = fault.step not in BEFORE_CLOSED and fault.victim in LEAVES_CLOSED
        return self.random.choices((WATCH, RESUME, ABORT), (10, 10, 10 if is_often_closed else 1))[0]

    def rounds_asleep(self) -> int:
        """For how many more rounds a stopped controller stays stopped: it resumes after its own way out, or during a later switch."""
        return self.random.choice((0, 0, 1, 2))

    def wakes_first(self) -> bool:
        """Whether controllers that resume during a switch do so before its fault."""
        return self.random.random() < 0.5

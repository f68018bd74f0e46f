"""The drill's lines as it goes, and its JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.drills.kill_plan import BOUNDARIES, Fault


@dataclass
class Round:
    """One fault and its outcome. `seconds` until a write was acknowledged again, `took` seconds in all."""

    number: int
    fault: Fault
    way_out: str = ""
    seconds: float | None = None
    took: float = 0.0
    primary: str = ""
    notes: list[str] = field(default_factory=list)


class Report:
    """Collects the rounds, prints them and writes the JSON."""

    def __init__(self, path: Path, service: str, seed: int) -> None:
        self._path, self._service, self._seed = path, service, seed
        self.rounds: list[Round] = []
        self.stuck: list[str] = []
        self.refused: list[str] = []
        self.two_primaries: list[str] = []
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.broken: list[str] = []
        self.figures: dict[str, Any] = {}
        print(f"\n  seed {seed}")
        print(
            f"  {'round':>5}  {'verb':<8}  {'step':<8}  {'victim':<10}  {'fault':<7}  {'way out':<7}  {'write s':>7}  {'all s':>5}  primary"
        )

    @property
    def kills(self) -> int:
        return len(self.rounds)

    def add(self, round_: Round) -> None:
        """Print the line of a finished round."""
        self.rounds.append(round_)
        seconds = "never" if round_.seconds is None else f"{round_.seconds:.2f}"
        print(
            f"  {round_.number:>5}  {round_.fault.action:<8}  {round_.fault.step:<8}  {round_.fault.victim:<10}  {round_.fault.kind:<7}  "
            f"{round_.way_out:<7}  {seconds:>7}  {round_.took:>5.1f}  {round_.primary}",
            flush=True,
        )
        for words in round_.notes:
            print(f"         {words[:200]}", flush=True)

    @property
    def by_step(self) -> Counter[str]:
        return Counter(round_.fault.step for round_ in self.rounds)

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong, and every boundary was hit."""
        wrong = self.stuck or self.two_primaries or self.lost or self.doubled or self.broken
        return not wrong and all(self.by_step[step] for step in BOUNDARIES)

    def write(self) -> None:
        """Print the sums and complaints, and write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.content(), ensure_ascii=False, indent=2) + "\n")
        print(
            f"\n  {self.kills} kills: lost {len(self.lost)}, doubled {len(self.doubled)}, two primaries {len(self.two_primaries)}, "
            f"stuck {len(self.stuck)}; {'good' if self.is_good else 'NOT GOOD'}",
            flush=True,
        )
        for words in (*self.stuck, *self.two_primaries, *self.lost[:10], *self.doubled[:10], *self.broken[:10]):
            print(f"    {words[:400]}", flush=True)

    def content(self) -> dict[str, Any]:
        """What `build/drill-kill.json` holds."""
        seconds = sorted(round_.seconds for round_ in self.rounds if round_.seconds is not None) or [0.0]
        return {
            "kills": self.kills,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "two_homes": len(self.two_primaries),
            "stuck": len(self.stuck),
            "by_step": dict(self.by_step),
            "by_verb": dict(Counter(round_.fault.action for round_ in self.rounds)),
            "by_victim": dict(Counter(round_.fault.victim for round_ in self.rounds)),
            "by_kind": dict(Counter(round_.fault.kind for round_ in self.rounds)),
            "by_way_out": dict(Counter(round_.way_out for round_ in self.rounds)),
            "recovery_seconds": {"p50": round(median(seconds), 3), "max": round(seconds[-1], 3)},
            "service": self._service,
            "seed": self._seed,
            "refused": len(self.refused),
            **self.figures,
            "complaints": [
                *(f"stuck: {words}" for words in self.stuck),
                *(f"two primaries: {words}" for words in self.two_primaries),
                *(f"lost: {words}" for words in self.lost[:50]),
                *(f"doubled: {words}" for words in self.doubled[:50]),
                *(f"broken: {words}" for words in self.broken[:50]),
            ],
        }

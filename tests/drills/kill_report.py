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
    """One fault and what came of it."""

    number: int
    fault: Fault
    way_out: str = ""
    seconds: float | None = None
    took: float = 0.0
    home: str = ""
    notes: list[str] = field(default_factory=list)


class Report:
    """Counts, prints, writes."""

    def __init__(self, path: Path, service: str, seed: int) -> None:
        self._path, self._service, self._seed = path, service, seed
        self.rounds: list[Round] = []
        self.stuck: list[str] = []
        self.refused: list[str] = []
        self.two_homes: list[str] = []
        self.lost: list[str] = []
        self.doubled: list[str] = []
        self.broken: list[str] = []
        self.figures: dict[str, Any] = {}
        print(f"\n  seed {seed}")
        print(
            f"  {'round':>5}  {'verb':<8}  {'step':<8}  {'victim':<10}  {'fault':<7}  {'way out':<7}  {'write s':>7}  {'all s':>5}  home"
        )

    @property
    def kills(self) -> int:
        return len(self.rounds)

    def add(self, one: Round) -> None:
        """A round is over: its line."""
        self.rounds.append(one)
        seconds = "never" if one.seconds is None else f"{one.seconds:.2f}"
        print(
            f"  {one.number:>5}  {one.fault.verb:<8}  {one.fault.step:<8}  {one.fault.victim:<10}  {one.fault.kind:<7}  "
            f"{one.way_out:<7}  {seconds:>7}  {one.took:>5.1f}  {one.home}",
            flush=True,
        )
        for words in one.notes:
            print(f"         {words[:200]}", flush=True)

    @property
    def by_step(self) -> Counter[str]:
        return Counter(one.fault.step for one in self.rounds)

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong, and every boundary was hit."""
        wrong = self.stuck or self.two_homes or self.lost or self.doubled or self.broken
        return not wrong and all(self.by_step[step] for step in BOUNDARIES)

    def write(self) -> None:
        """Sums, complaints and the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.content(), ensure_ascii=False, indent=2) + "\n")
        print(
            f"\n  {self.kills} kills: lost {len(self.lost)}, doubled {len(self.doubled)}, two homes {len(self.two_homes)}, "
            f"stuck {len(self.stuck)}; {'good' if self.is_good else 'NOT GOOD'}",
            flush=True,
        )
        for words in (*self.stuck, *self.two_homes, *self.lost[:10], *self.doubled[:10], *self.broken[:10]):
            print(f"    {words[:400]}", flush=True)

    def content(self) -> dict[str, Any]:
        """What `build/drill-kill.json` holds."""
        seconds = sorted(one.seconds for one in self.rounds if one.seconds is not None) or [0.0]
        return {
            "kills": self.kills,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "two_homes": len(self.two_homes),
            "stuck": len(self.stuck),
            "by_step": dict(self.by_step),
            "by_verb": dict(Counter(one.fault.verb for one in self.rounds)),
            "by_victim": dict(Counter(one.fault.victim for one in self.rounds)),
            "by_kind": dict(Counter(one.fault.kind for one in self.rounds)),
            "by_way_out": dict(Counter(one.way_out for one in self.rounds)),
            "recovery_seconds": {"p50": round(median(seconds), 3), "max": round(seconds[-1], 3)},
            "service": self._service,
            "seed": self._seed,
            "refused": len(self.refused),
            **self.figures,
            "complaints": [
                *(f"stuck: {words}" for words in self.stuck),
                *(f"two homes: {words}" for words in self.two_homes),
                *(f"lost: {words}" for words in self.lost[:50]),
                *(f"doubled: {words}" for words in self.doubled[:50]),
                *(f"broken: {words}" for words in self.broken[:50]),
            ],
        }

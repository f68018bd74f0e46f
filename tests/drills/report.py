"""The drill's table, as it goes, and its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Step:
    """One step of a service. `seconds_to_effect` is where a flag was turned, `remote_share` where every person was asked."""

    step: str
    percent: int
    remote_share: float | None = None
    actors: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0
    seconds_to_effect: float | None = None

    def is_within(self, sigmas: float) -> bool:
        """Whether the share is the percent, within the bound for so many people."""
        if self.remote_share is None:
            return True
        p = self.percent / 100
        return abs(self.remote_share - p) <= sigmas * (p * (1 - p) / self.actors) ** 0.5

    @property
    def is_in_effect_within_a_second(self) -> bool:
        """Whether all watched people had changed sides in time."""
        return self.seconds_to_effect is None or self.seconds_to_effect <= 1


@dataclass
class ServiceReport:
    """The results of one service."""

    name: str
    sigmas: float = 3.0
    requests: int = 0
    failed: int = 0
    commands: int = 0
    sales: int = 0
    lost: int = 0
    doubled: int = 0
    answered_at_home: int = 0
    compared: int = 0
    mismatched: int = 0
    steps: list[Step] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every goal is reached. Mismatches are reported and are no goal."""
        steps = all(step.is_within(self.sigmas) and step.is_in_effect_within_a_second for step in self.steps)
        something = self.sales > 0 and self.compared > 0 and self.commands > 0
        return steps and something and not (self.failed or self.lost or self.doubled)


class Report:
    """Prints while it collects."""

    HEAD = f"  {'service':<15} {'step':<18} {'%':>3} {'remote':>7} {'p50 ms':>7} {'p99 ms':>8} {'failed':>6} {'effect s':>8}"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.services: list[ServiceReport] = []
        print(f"\n{self.HEAD}\n  {'-' * (len(self.HEAD) - 2)}", flush=True)

    def add_step(self, service: str, step: Step) -> None:
        """Print the line of a step."""
        remote = "" if step.remote_share is None else f"{step.remote_share:7.2%}"
        effect = "" if step.seconds_to_effect is None else f"{step.seconds_to_effect:.2f}"
        print(
            f"  {service:<15} {step.step:<18} {step.percent:>3} {remote:>7} {step.p50_ms:>7.1f} {step.p99_ms:>8.1f} "
            f"{step.failed:>6} {effect:>8}",
            flush=True,
        )

    def add(self, result: ServiceReport) -> None:
        """Print a finished service's sums and write the file so far."""
        self.services.append(result)
        print(
            f"  {result.name:<15} {result.sales} sales, {result.requests} requests, {result.commands} commands; "
            f"failed {result.failed}, lost {result.lost}, doubled {result.doubled}; "
            f"answered locally {result.answered_at_home}, compared {result.compared}, mismatched {result.mismatched}: "
            f"{'good' if result.is_good else 'NOT GOOD'}\n",
            flush=True,
        )
        for words in result.complaints[:10]:
            print(f"    {words}", flush=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.content(), ensure_ascii=False, indent=2) + "\n")

    def content(self) -> dict[str, Any]:
        """What `build/drill-lift.json` holds."""
        return {"services": {result.name: _service(result) for result in self.services}}

    @property
    def is_good(self) -> bool:
        """Whether every goal of every service is reached."""
        return all(result.is_good for result in self.services)


def _service(result: ServiceReport) -> dict[str, Any]:
    names = ("requests", "failed", "commands", "sales", "lost", "doubled")
    names = (*names, "answered_at_home", "compared", "mismatched")
    return {
        **{name: getattr(result, name) for name in names},
        "steps": [
            {
                "step": step.step,
                "percent": step.percent,
                "remote_share": None if step.remote_share is None else round(step.remote_share, 4),
                "actors": step.actors,
                "p50_ms": step.p50_ms,
                "p99_ms": step.p99_ms,
                "failed": step.failed,
                "seconds_to_effect": None if step.seconds_to_effect is None else round(step.seconds_to_effect, 3),
            }
            for step in result.steps
        ],
        "complaints": result.complaints[:50],
    }

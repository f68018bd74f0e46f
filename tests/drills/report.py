"""The drill's table, as it goes, and its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Step:
    """One step of a service's way. `seconds_to_effect` is where a flag was turned, `remote_share` where everybody was asked."""

    step: str
    percent: int
    remote_share: float | None = None
    actors: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0
    seconds_to_effect: float | None = None

    def is_within(self, sigmas: float) -> bool:
        """Whether the share is the percent, as far as so many people can tell."""
        if self.remote_share is None:
            return True
        p = self.percent / 100
        return abs(self.remote_share - p) <= sigmas * (p * (1 - p) / self.actors) ** 0.5

    @property
    def is_in_effect_within_a_second(self) -> bool:
        """Whether everybody watched had changed sides in time."""
        return self.seconds_to_effect is None or self.seconds_to_effect <= 1


@dataclass
class ServiceReport:
    """What came of one service."""

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
        """Whether every goal is reached. Mismatches are reported and are no goal: noise is subtracted, findings are findings."""
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

    def tell(self, service: str, step: Step) -> None:
        """One line."""
        remote = "" if step.remote_share is None else f"{step.remote_share:7.2%}"
        effect = "" if step.seconds_to_effect is None else f"{step.seconds_to_effect:.2f}"
        print(
            f"  {service:<15} {step.step:<18} {step.percent:>3} {remote:>7} {step.p50_ms:>7.1f} {step.p99_ms:>8.1f} "
            f"{step.failed:>6} {effect:>8}",
            flush=True,
        )

    def add(self, found: ServiceReport) -> None:
        """A service is done: its sums, and the file so far."""
        self.services.append(found)
        print(
            f"  {found.name:<15} {found.sales} sales, {found.requests} requests, {found.commands} commands; "
            f"failed {found.failed}, lost {found.lost}, doubled {found.doubled}; "
            f"answered at home {found.answered_at_home}, compared {found.compared}, mismatched {found.mismatched}: "
            f"{'good' if found.is_good else 'NOT GOOD'}\n",
            flush=True,
        )
        for words in found.complaints[:10]:
            print(f"    {words}", flush=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.content(), ensure_ascii=False, indent=2) + "\n")

    def content(self) -> dict[str, Any]:
        """What `build/drill-lift.json` holds."""
        return {"services": {found.name: _service(found) for found in self.services}}

    @property
    def is_good(self) -> bool:
        """Whether every goal of every service is reached."""
        return all(found.is_good for found in self.services)


def _service(found: ServiceReport) -> dict[str, Any]:
    names = ("requests", "failed", "commands", "sales", "lost", "doubled")
    names = (*names, "answered_at_home", "compared", "mismatched")
    return {
        **{name: getattr(found, name) for name in names},
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
            for step in found.steps
        ],
        "complaints": found.complaints[:50],
    }

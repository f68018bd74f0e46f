"""The table of `make drill-move`, as it goes, and its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

PAUSE_P50_MS, PAUSE_MAX_MS, LAG_P99_MS = 25.0, 100.0, 50.0


@dataclass
class Switch:
    """One cutover or rollback. `slowest_ms` and `gap_ms` are the pause as clients saw it."""

    verb: str
    pause_ms: float
    attempts: int
    parts_ms: dict[str, float] = field(default_factory=dict)
    slowest_ms: float = 0.0
    gap_ms: float | None = None


@dataclass
class MoveReport:
    """The results of one service."""

    name: str
    capacity: float = 0.0
    rate: float = 0.0
    rows: int = 0
    copy_seconds: float = 0.0
    verify_rows_s: int = 0
    switches: list[Switch] = field(default_factory=list)
    # Of all requests under the steady load, to compare with the slowest around a switch.
    request_ms: dict[str, float] = field(default_factory=dict)
    lag_ms: list[float] = field(default_factory=list)
    behind_seconds: list[float] = field(default_factory=list)
    sales: int = 0
    requests: int = 0
    commands: int = 0
    events: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    events_lost: int = 0
    events_doubled: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, nothing is lost, nothing is doubled, and there was something to lose."""
        counted = (self.failed, self.lost, self.doubled, self.events_lost, self.events_doubled)
        return not any(counted) and self.sales > 0 and bool(self.switches)

    def pauses(self, verb: str) -> dict[str, float]:
        """The median and the longest pause, aborted attempts included."""
        pauses = [switch.pause_ms for switch in self.switches if switch.verb == verb]
        return {"p50": round(median(pauses), 1), "max": round(max(pauses), 1)} if pauses else {"p50": 0.0, "max": 0.0}

    @property
    def lag(self) -> dict[str, float]:
        """How long a write took to arrive in the other database."""
        if len(self.lag_ms) < 2:
            return {"p50": 0.0, "p99": 0.0}
        cuts = quantiles(self.lag_ms, n=100, method="inclusive")
        return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}

    @property
    def goals(self) -> dict[str, bool]:
        """The goals, on two cores for everything; a noisy machine may miss them without a defect."""
        both = [self.pauses(verb) for verb in ("cutover", "rollback")]
        return {
            "nothing failed, lost or doubled": self.is_good,
            f"pause p50 {PAUSE_P50_MS:g} ms": max(pause["p50"] for pause in both) <= PAUSE_P50_MS,
            f"pause max {PAUSE_MAX_MS:g} ms": max(pause["max"] for pause in both) <= PAUSE_MAX_MS,
            f"lag p99 {LAG_P99_MS:g} ms": self.lag["p99"] <= LAG_P99_MS,
        }

    def content(self) -> dict[str, Any]:
        """This service in the JSON."""
        behind = sorted(self.behind_seconds) or [0.0]
        return {
            "rows": self.rows,
            "copy_seconds": round(self.copy_seconds, 2),
            "copy_rows_s": round(self.rows / self.copy_seconds) if self.copy_seconds else 0,
            "verify_rows_s": self.verify_rows_s,
            "cutover_pause_ms": self.pauses("cutover"),
            "rollback_pause_ms": self.pauses("rollback"),
            "lag_ms": self.lag,
            "requests": self.requests,
            "failed": self.failed,
            "lost": self.lost,
            "doubled": self.doubled,
            "events_lost": self.events_lost,
            "events_doubled": self.events_doubled,
            "sales": self.sales,
            "commands": self.commands,
            "events": self.events,
            "capacity_sales_s": round(self.capacity, 2),
            "rate_sales_s": round(self.rate, 2),
            "behind_schedule_s": {"p50": round(median(behind), 3), "max": round(behind[-1], 3)},
            "request_ms": self.request_ms,
            "beats": len(self.lag_ms),
            "switches": [vars(switch) for switch in self.switches],
            "goals": self.goals,
            "complaints": self.complaints[:50],
        }


class Report:
    """Prints each step; the file is written after each service."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.services: list[MoveReport] = []

    def say(self, service: str, step: str, seconds: float, words: str) -> None:
        """Print the line of a finished step."""
        print(f"  {service:<15} {step:<10} {seconds:>7.1f} s  {words}", flush=True)

    def switched(self, service: str, switch: Switch, seconds: float) -> None:
        """Print the line of a switch."""
        gap = "-" if switch.gap_ms is None else f"{switch.gap_ms:.0f} ms"
        parts = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in switch.parts_ms.items())
        words = (
            f"pause {switch.pause_ms:>6.1f} ms in {switch.attempts} attempt{'s' * (switch.attempts != 1)} ({parts}); "
            f"from outside: slowest request {switch.slowest_ms:.0f} ms, longest without a command {gap}"
        )
        self.say(service, switch.verb, seconds, words)

    def add(self, result: MoveReport) -> None:
        """Print a finished service's sums and write the file so far."""
        self.services.append(result)
        behind = result.content()["behind_schedule_s"]
        print(
            f"  {result.name:<15} {result.sales} sales ({result.rate:.2f} of {result.capacity:.2f} a second, behind schedule p50 "
            f"{behind['p50']:.2f} s, max {behind['max']:.2f} s), {result.commands} commands, {result.events} events,\n"
            f"  {'':<15} {result.requests} requests (p50 {result.request_ms['p50']} ms, p99 {result.request_ms['p99']} ms, "
            f"max {result.request_ms['max']} ms)\n"
            f"  {'':<15} failed {result.failed}, lost {result.lost}, doubled {result.doubled}, events lost {result.events_lost}, "
            f"doubled {result.events_doubled}\n"
            f"  {'':<15} cutover p50 {result.pauses('cutover')['p50']} ms, max {result.pauses('cutover')['max']} ms; "
            f"rollback p50 {result.pauses('rollback')['p50']} ms, max {result.pauses('rollback')['max']} ms; "
            f"lag p50 {result.lag['p50']} ms, p99 {result.lag['p99']} ms of {len(result.lag_ms)} beats",
            flush=True,
        )
        for goal, is_met in result.goals.items():
            print(f"  {'':<15} {'met   ' if is_met else 'MISSED'} {goal}", flush=True)
        for words in result.complaints[:10]:
            print(f"    {words}", flush=True)
        print(flush=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.content(), ensure_ascii=False, indent=2) + "\n")

    def content(self) -> dict[str, Any]:
        """What `build/drill-move.json` holds."""
        return {"services": {result.name: result.content() for result in self.services}}

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost with any service."""
        return bool(self.services) and all(result.is_good for result in self.services)

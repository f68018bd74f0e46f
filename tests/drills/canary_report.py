"""The canary drill's table, as it goes, and its JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.drills.canary_cases import LAST_AWAY_SECONDS, Case

HEAD = (
    f"  {'case':<18} {'outcome':<12} {'expected':<12} {'at %':>5} {'seconds':>7} {'last away':>9} {'canary':>7} {'failed':>6} "
    f"{'affected':>8} {'p99 loc.':>8} {'p99 rem.':>8}"
)


class Report:
    """Prints while it collects, and decides whether the drill passed."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path, self._facts = path, facts
        self.cases: dict[str, dict[str, Any]] = {}
        print(f"\n{HEAD}\n  {'-' * (len(HEAD) - 2)}", flush=True)

    def add(self, name: str, case: Case, result: dict[str, Any], complaints: list[str]) -> None:
        """Print the row of a finished rollout and write the file so far."""
        problems = [*complaints, *wrong(case, result)]
        row = {"outcome": result["outcome"], "expected": case.expected, **result}
        row["load_average"] = round(os.getloadavg()[0], 1)
        row["complaints"] = problems
        self.cases[name] = row
        p99_home, p99_away = (row[side].get("p99_ms", "") for side in ("home", "away"))
        last = "" if row["last_away_seconds"] is None else f"{row['last_away_seconds']:.2f}"
        print(
            f"  {name:<18} {row['outcome']:<12} {row['expected']:<12} {row['share']:>5g} {row['seconds']:>7.1f} {last:>9} "
            f"{row['canary_requests']:>7} {row['failed_requests']:>6} {row['affected_requests']:>8} {p99_home:>8} {p99_away:>8}",
            flush=True,
        )
        print(f"    {row['explanation']}", flush=True)
        for words in problems:
            print(f"    NOT GOOD: {words}", flush=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {**self._facts, "cases": self.cases}
        self._path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    @property
    def is_good(self) -> bool:
        """Whether every case has its expected outcome."""
        return bool(self.cases) and not any(row["complaints"] for row in self.cases.values())


def wrong(case: Case, result: dict[str, Any]) -> list[str]:
    """The differences from the case's expectations, in words."""
    problems = []
    if result["outcome"] != case.expected:
        problems.append(f"{result['outcome']} instead of {case.expected}")
    if result["failed_requests"]:
        problems.append(f"{result['failed_requests']} requests failed")
    if case.within and result["seconds"] >= case.within:
        problems.append(f"taken back after {result['seconds']} s; {case.within:g} s are allowed")
    if (result["last_away_seconds"] or 0) > LAST_AWAY_SECONDS:
        problems.append(f"answered away {result['last_away_seconds']} s after it was taken back")
    return problems

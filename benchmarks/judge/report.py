"""The results: alarms with their intervals, canary requests to detection, goals; as JSON and as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.judge.rollouts import OURS, Decisions
from benchmarks.judge.scenarios import BROKEN, FALSE_ROLLBACK, Scenario

PEER = "threshold-5"
Z = 1.959963984540054
Report = dict[str, dict[str, dict[str, Any]]]


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def summary(scenario: Scenario, rollouts: Sequence[Decisions]) -> dict[str, dict[str, Any]]:
    """The results of each judge in a scenario.

    A rollout without an alarm counts as infinitely late; None if that is the median.
    """
    judged: dict[str, dict[str, Any]] = {}
    for judge in scenario.judges:
        alarms = [decided for decisions in rollouts if (decided := decisions[judge]) is not None]
        late = [math.inf] * (len(rollouts) - len(alarms))
        requests = sorted([*(decided.requests for decided in alarms), *late])
        seconds = sorted([*(decided.seconds for decided in alarms), *late])
        reasons = sorted({decided.reason for decided in alarms if decided.reason})
        judged[judge] = {
            "rollouts": len(rollouts),
            "alarms": len(alarms),
            "median_requests": _quantile(requests, 0.5),
            "p90_requests": _quantile(requests, 0.9),
            "median_seconds": _quantile(seconds, 0.5),
            "ci95": [round(end, 5) for end in wilson(len(alarms), len(rollouts))],
            "reasons": {reason: sum(decided.reason == reason for decided in alarms) for reason in reasons},
        }
    _goals(scenario, judged)
    return judged


def _goals(scenario: Scenario, judged: dict[str, dict[str, Any]]) -> None:
    ours = judged[OURS]
    median, goals = ours["median_requests"], {}
    if scenario.name == BROKEN:
        goals["caught"] = ours["ci95"][0] > FALSE_ROLLBACK
    elif scenario.is_healthy:
        goals["at most 1 % alarms"] = ours["alarms"] <= FALSE_ROLLBACK * ours["rollouts"]
    if scenario.limit:
        ours["limit"] = round(scenario.limit, 1)
        ours["ratio_to_limit"] = round(median / scenario.limit, 2) if median else None
    if scenario.of_limit:
        goals[f"at most {scenario.of_limit:g} of the limit"] = bool(median) and median <= (
            scenario.of_limit * (scenario.limit or 0)
        )
    if scenario.of_peer:
        peer = judged[PEER]["median_requests"] or math.inf
        ours["ratio_to_threshold"] = round(median / peer, 3) if median else None
        goals[f"at most {scenario.of_peer:.2g} of the threshold's"] = bool(median) and median <= scenario.of_peer * peer
    ours["goals"] = goals


def _quantile(values: list[float], part: float) -> float | None:
    value = values[min(math.ceil(part * len(values)), len(values)) - 1] if values else math.inf
    return None if math.isinf(value) else round(value, 1)


def write(report: Report, path: Path) -> None:
    """The report as `{scenario: {judge: {...}}}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def table(report: Report) -> str:
    """Alarms of rollouts, and median canary requests to them, of each judge; then the goals of ours."""
    names = list(dict.fromkeys(judge for judged in report.values() for judge in judged))
    rows = [["scenario", "rollouts", *names, "goals of ours"]]
    for scenario, judged in report.items():
        goals = judged[OURS]["goals"].items()
        outcomes = "; ".join(f"{goal}: {'yes' if met else 'NO'}" for goal, met in goals)
        cells = [_cell(judged[name]) if name in judged else "" for name in names]
        rows.append([scenario, str(judged[OURS]["rollouts"]), *cells, outcomes])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cell(result: dict[str, Any]) -> str:
    share = f"{100 * result['alarms'] / result['rollouts']:.1f} %"
    median = result["median_requests"]
    ratio = result.get("ratio_to_limit")
    return share + (f" {median:g}" if median is not None else "") + (f" ({ratio:g})" if ratio else "")

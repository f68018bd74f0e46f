"""The report: one figure per goal, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value and its goal. `least`: the goal is a lower bound, not an upper one."""

    name: str
    value: float
    goal: float
    unit: str
    against: str
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value reaches the goal."""
        return self.value >= self.goal if self.least else self.value <= self.goal

    @property
    def bound(self) -> str:
        """The goal in words."""
        return f"{'at least' if self.least else 'at most'} {self.goal:g}"


def write(figures: list[Figure], path: Path) -> None:
    """The figures as `{name: {value, goal, met, unit, against}}`."""
    content = {
        figure.name: {
            "value": round(figure.value, 3),
            "goal": figure.goal,
            "met": figure.met,
            "unit": figure.unit,
            "against": f"{figure.bound}; {figure.against}",
        }
        for figure in figures
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def table(figures: list[Figure]) -> str:
    """The figures as a text table."""
    rows = [("figure", "value", "unit", "goal", "met")]
    rows += [
        (figure.name, f"{figure.value:.2f}", figure.unit, figure.bound, "yes" if figure.met else "NO")
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{figure.name}: {figure.against}" for figure in figures]
    return "\n".join([*lines, "", *notes])

"""The committed rules, configurations, cases, dashboards and runbooks, and the names of metrics in them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

BASE = Path(__file__).resolve().parent.parent.parent
ALERTING = BASE / "migrations_playbook" / "alerting"
RUNBOOKS = ALERTING / "runbooks"
GRAFANA = BASE / "migrations_playbook" / "grafana"
# What PromQL says itself, Prometheus adds, and rules record; none of them is exported by a process of ours.
SYNTAX = frozenset(
    [
        "sum",
        "min",
        "max",
        "count",
        "by",
        "without",
        "on",
        "ignoring",
        "and",
        "or",
        "unless",
        "offset",
        "rate",
        "increase",
        "deriv",
        "topk",
        "time",
        "vector",
        "absent",
        "histogram_quantile",
        "label_replace",
        "label_values",
        "max_over_time",
        "le",
        "inf",
        "bool",
        "up",
        "ALERTS",
    ]
)
STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
LABELS = re.compile(r"\{[^{}]*\}|\b(?:by|without|on|ignoring)\s*\([^()]*\)|\[[^\]]*\]|\$\w+")
NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not here")
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="Debian's package prometheus-alertmanager is not here"
)


def groups() -> list[dict[str, Any]]:
    """The groups of rules."""
    return yaml.safe_load((ALERTING / "rules.yml").read_text())["groups"]


def rules(kind: str) -> list[dict[str, Any]]:
    """Rules that alert, or that record."""
    return [rule for group in groups() for rule in group["rules"] if kind in rule]


def panels() -> Iterator[tuple[str, str]]:
    """The dashboard and the expression of everything that a dashboard asks."""
    for file in sorted(GRAFANA.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield file.name, target["expr"]


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression. Histograms' parts are named as they are exported."""
    bare = LABELS.sub(" ", STRING.sub(" ", expression))
    names = {name for name in NAME.findall(bare) if not re.fullmatch(r"\d.*", name)}
    return {name for name in names if name not in SYNTAX and not name.isupper()}

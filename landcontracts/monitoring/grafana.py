"""Generates `migrations_playbook/grafana`: Grafana's JSON of `overview.py`, `service.py` and `platform.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from landcontracts.monitoring.overview import OVERVIEW
from landcontracts.monitoring.panels import Dashboard, Panel
from landcontracts.monitoring.platform import PLATFORM
from landcontracts.monitoring.service import SERVICE

FOLDER = Path(__file__).resolve().parent.parent.parent / "migrations_playbook" / "grafana"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA = 39  # Grafana 10.4; newer ones migrate it
HEIGHT = 8
COLUMNS = 24
DASHBOARDS = (OVERVIEW, SERVICE, PLATFORM)


def files() -> dict[Path, str]:
    """Every dashboard's file and its content."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(_dashboard(dashboard), indent=1, ensure_ascii=False) + "\n"
        for dashboard in DASHBOARDS
    }


def stale() -> list[Path]:
    """Files that differ from the generated content."""
    return [path for path, text in files().items() if not path.exists() or path.read_text() != text]


def write() -> None:
    """Write all dashboards."""
    for path, text in files().items():
        path.write_text(text)


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in dashboard.rows:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": _place(0, top, COLUMNS, 1), "panels": []}
        )
        top, left = top + 1, 0
        for panel in row:
            if left + panel.width > COLUMNS:
                top, left = top + HEIGHT, 0
            panels.append(_panel(panel, len(panels) + 1, _place(left, top, panel.width, HEIGHT)))
            left += panel.width
        top += HEIGHT
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["landcontracts"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables(dashboard)},
        "panels": panels,
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend,
            "instant": panel.kind == "stat",
            "range": panel.kind != "stat",
        }
        for index, query in enumerate(panel.queries)
    ]
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}}
    if panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name", "colorMode": "none"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    if not dashboard.of_one_service:
        return [source]
    services = "label_values(seam_route_percent, service)"
    return [
        source,
        {
            "name": "service",
            "type": "query",
            "label": "Service",
            "datasource": DATASOURCE,
            "query": services,
            "refresh": 2,
        },
    ]

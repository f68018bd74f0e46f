"""The form of the dashboards' table: what is asked of Prometheus, and how it is shown. `grafana.py` makes Grafana's JSON of it."""

from __future__ import annotations

from typing import NamedTuple


class Query(NamedTuple):
    """A question in PromQL, and how its answers are called (`{{label}}` is a label's value)."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """One picture. `kind` is Grafana's type of panel, `unit` one of its units, `width` of 24."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    about: str = ""


class Dashboard(NamedTuple):
    """Rows of panels, by the row's title. `of_one_service` adds a choice of service, `$service`."""

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    of_one_service: bool = False

"""The types of the dashboards: queries and their display. `grafana.py` generates Grafana's JSON from them."""

from __future__ import annotations

from typing import NamedTuple


class Query(NamedTuple):
    """A PromQL query, and the name of its results (`{{label}}` is a label's value)."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel. `kind` is Grafana's type of panel, `unit` one of its units, `width` is of 24 columns."""

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

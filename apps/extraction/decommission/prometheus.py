"""Asking Prometheus (HTTP API v1, https://prometheus.io/docs/prometheus/latest/querying/api/). What it cannot say is not known."""

from __future__ import annotations

import json
from typing import Any

import urllib3
from django.conf import settings

TIMEOUT_SECONDS = 5.0
_http = urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False)


class NoPrometheus(Exception):
    """None is configured."""

    def __init__(self) -> None:
        super().__init__("there is no Prometheus: set PROMETHEUS_URL")


class Unanswered(Exception):
    """It did not answer, or not as Prometheus does."""


def ask(path: str, **parameters: str) -> Any:
    """The `data` of an answer. Raises: NoPrometheus, Unanswered."""
    url = settings.PROMETHEUS_URL.rstrip("/")
    if not url:
        raise NoPrometheus
    try:
        answer = _http.request("GET", f"{url}/api/v1/{path}", fields=parameters)
        found = json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unanswered(f"{url} does not answer: {error}") from error
    if answer.status != 200 or not isinstance(found, dict) or found.get("status") != "success":
        raise Unanswered(f"{url} answers {answer.status}: {str(found)[:200]}")
    return found["data"]


def value(query: str) -> float | None:
    """The one value of an expression; None where there is no data. Raises: NoPrometheus, Unanswered."""
    result = ask("query", query=query).get("result", [])
    return float(result[0]["value"][1]) if result else None

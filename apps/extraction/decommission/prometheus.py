"""Queries to Prometheus (HTTP API v1, https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

import json
from typing import Any

import urllib3
from django.conf import settings

TIMEOUT_SECONDS = 5.0
_http = urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False)


class NoPrometheus(Exception):
    """No Prometheus is configured."""

    def __init__(self) -> None:
        super().__init__("there is no Prometheus: set PROMETHEUS_URL")


class Unanswered(Exception):
    """There was no answer, or not one of Prometheus."""


def ask(path: str, **parameters: str) -> Any:
    """The `data` of the answer to a request. Raises: NoPrometheus, Unanswered."""
    url = settings.PROMETHEUS_URL.rstrip("/")
    if not url:
        raise NoPrometheus
    try:
        answer = _http.request("GET", f"{url}/api/v1/{path}", fields=parameters)
        body = json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unanswered(f"{url} does not answer: {error}") from error
    if answer.status != 200 or not isinstance(body, dict) or body.get("status") != "success":
        raise Unanswered(f"{url} answers {answer.status}: {str(body)[:200]}")
    return body["data"]


def value(query: str) -> float | None:
    """The single value of an expression; None if there is no data. Raises: NoPrometheus, Unanswered."""
    result = ask("query", query=query).get("result", [])
    return float(result[0]["value"][1]) if result else None

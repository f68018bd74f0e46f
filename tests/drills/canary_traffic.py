"""What people ask of a service during its canary: a light query, a light command, and what a broken service makes of their answers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple


class Traffic(NamedTuple):
    """One service's load. `query` and `command` are methods of its interface, the paths are of the public API.

    A wrong answer to the query has `wrong` in its `field`, which a right one never has; `refusal` is a refusal of the command on
    the wire, with HTTP 404.
    """

    query: str
    query_path: str
    field: str
    wrong: Any
    command: str
    command_path: str
    body: Callable[[], dict[str, Any] | None]
    refusal: bytes

    def is_wrong(self, content: Any) -> bool:
        """Whether an answer to the query is the changed one."""
        return isinstance(content, dict) and content.get(self.field) == self.wrong


def _not_found(code: str) -> bytes:
    return json.dumps({"code": code, "category": "not_found", "fields": {}}).encode()


def _plot() -> dict[str, Any]:
    number = f"50:20:{secrets.randbelow(10**7):07d}:{secrets.randbelow(10**9)}"
    return {"cadastral_number": number, "address": "Одинцово, поле 7", "area_m2": "1200.50"}


TRAFFIC: dict[str, Traffic] = {
    "notifications": Traffic(
        query="list",
        query_path="notifications?limit=5",
        field="unread",
        wrong=1_000_003,
        command="mark_all_read",
        command_path="notifications/read",
        body=lambda: None,
        refusal=_not_found("notification_not_found"),
    ),
    "contracts": Traffic(
        query="list_plots",
        query_path="land-plots?limit=5",
        field="next_cursor",
        wrong="a page that is not there",
        command="record_plot",
        command_path="land-plots",
        body=_plot,
        refusal=_not_found("contract_not_found"),
    ),
}

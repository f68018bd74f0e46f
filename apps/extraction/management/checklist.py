"""The checklist on the command line: show it, check again, ask for an override, which is confirmed in the admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from apps.core import topology
from apps.extraction.decommission import overrides
from apps.extraction.decommission.checklist import ITEMS
from apps.extraction.decommission.results import ItemStanding, run, standing

ACTIONS = ("checklist", "override")
WORDS = {"holds": "ok       ", "fails": "FAILS    ", "not_known": "NOT KNOWN"}


def act(service: str, action: str, options: dict[str, Any]) -> Iterator[str]:
    """Do the action; yields the lines to show. Raises: CommandError."""
    if service not in topology.entries():
        raise CommandError(f"{action} is done with one service at a time")
    if action == "override":
        yield from _override(service, options)
        return
    name = options["run"]
    if name is None:
        items = standing(service)
    elif name in {*ITEMS, "all"}:
        items = run(service, () if name == "all" else (name,))
    else:
        raise CommandError(f"there is no item {name}: {', '.join(ITEMS)}")
    yield from (line(item) for item in items)
    failing = [item for item in items if not item.holds and not item.is_overridden]
    yield f"{len(items) - len(failing)} of {len(items)} hold" + ("" if failing else ": nothing stands in the way")


def line(item: ItemStanding) -> str:
    """An item as a line of text."""
    age = "never" if item.age is None else f"{_ago(item.age.total_seconds())} ago"
    overridden = "(overridden by two people) " if item.is_overridden and not item.holds else ""
    return f"{WORDS[item.state]} {item.item:<22} {age:<10} {overridden}{item.reason}"


def _override(service: str, options: dict[str, Any]) -> Iterator[str]:
    item, who = options["share"] or "", options["person"]
    if not who:
        raise CommandError("say who asks: --as, the e-mail of an administrator")
    try:
        override = overrides.ask(service, item, who, "manage.py extraction", options["reason"], tuple(ITEMS))
    except overrides.NotOverridden as error:
        raise CommandError(f"{service} override: {error}") from error
    yield f"asked for: {override.item} of {service}, record {override.id}"
    yield f"another administrator confirms it within a day: /admin/extraction/move/checklist/{service}/"


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

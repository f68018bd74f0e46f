"""The checklist on the command line: how it stands, checking again, and asking for an override, which another person confirms in the admin."""

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


def act(service: str, verb: str, options: dict[str, Any]) -> Iterator[str]:
    """The lines to show. Raises: CommandError."""
    if service not in topology.entries():
        raise CommandError(f"{verb} is done with one service at a time")
    if verb == "override":
        yield from _override(service, options)
        return
    wanted = options["run"]
    if wanted is None:
        found = standing(service)
    elif wanted in {*ITEMS, "all"}:
        found = run(service, () if wanted == "all" else (wanted,))
    else:
        raise CommandError(f"there is no item {wanted}: {', '.join(ITEMS)}")
    yield from (line(one) for one in found)
    failing = [one for one in found if not one.holds and not one.is_overridden]
    yield f"{len(found) - len(failing)} of {len(found)} hold" + ("" if failing else ": nothing stands in the way")


def line(one: ItemStanding) -> str:
    """An item in a line."""
    age = "never" if one.age is None else f"{_ago(one.age.total_seconds())} ago"
    passed = "(passed over by two people) " if one.is_overridden and not one.holds else ""
    return f"{WORDS[one.state]} {one.item:<22} {age:<10} {passed}{one.reason}"


def _override(service: str, options: dict[str, Any]) -> Iterator[str]:
    item, who = options["share"] or "", options["person"]
    if not who:
        raise CommandError("say who asks: --as, the e-mail of an administrator")
    try:
        asked = overrides.ask(service, item, who, "manage.py extraction", options["reason"], tuple(ITEMS))
    except overrides.NotOverridden as error:
        raise CommandError(f"{service} override: {error}") from error
    yield f"asked for: {asked.item} of {service}, record {asked.id}"
    yield f"another administrator confirms it within a day: /admin/extraction/move/checklist/{service}/"


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

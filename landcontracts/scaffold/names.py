"""What a new app may be called."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

import yaml

from landcontracts.gateway.table import FACES, ROUTES
from landcontracts.topology import SERVICES

# Databases and sides of the seam that have these names already.
TAKEN = {"default", "monolith", *FACES}
LONGEST = 20


class NameNotUsable(ValueError):
    """No app can have this name; the message says why."""


def check(name: str, tree: Path) -> None:
    """Check the name of a new app. Raises: NameNotUsable.

    It becomes a Python package, a prefix of tables, a queue, a host name and a path of the public API.
    """
    if not re.fullmatch(r"[a-z]+", name) or keyword.iskeyword(name):
        raise NameNotUsable(f"{name!r}: small letters a to z, as in `surveys`")
    if len(name) > LONGEST:
        raise NameNotUsable(f"{name!r}: at most {LONGEST} letters, because the names of indexes are made of it")
    if name in SERVICES or (tree / "apps" / name).exists():
        raise NameNotUsable(f"{name!r}: there is such an app")
    if importlib.util.find_spec(name) is not None:
        raise NameNotUsable(f"{name!r}: there is a Python module of this name")
    if name in TAKEN | _hosts(tree) | _paths():
        raise NameNotUsable(f"{name!r}: a host, a database or a path of the public API has this name")


def check_title(title: str) -> None:
    """Check a title, which stands in source and in a catalogue. Raises: NameNotUsable."""
    if not title.strip() or any(not character.isprintable() or character in '"\\{}%' for character in title):
        raise NameNotUsable(f"{title!r}: printable, without quotes, backslashes, braces and percent signs")


def _hosts(tree: Path) -> set[str]:
    """The services of both compose files."""
    files = ("docker-compose.yml", "migrations_playbook/docker-compose.migration.yml")
    return {host for file in files for host in yaml.safe_load((tree / file).read_text())["services"]}


def _paths() -> set[str]:
    return {part for route in ROUTES for part in route.path.split("/")}

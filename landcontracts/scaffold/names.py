"""What a new app may be called."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
from pathlib import Path

import yaml

from landcontracts.gateway.table import FACES, ROUTES
from landcontracts.topology import SERVICES

# Databases, their roles, Valkey's users and sides of the seam that have these names already.
TAKEN = {"default", "monolith", "owner", "app", "service", "replicator", "control", "web", "worker", *FACES}
# Django's limit for the name of an index, one of which ends so.
LONGEST = 30 - len("_of_contract")


class NameNotUsable(ValueError):
    """No app can have this name; the message says why."""


def check(name: str, tree: Path) -> None:
    """Check the name of a new app. Raises: NameNotUsable.

    It becomes a Python package, a prefix of tables, a queue, a host name and a path of the public API.
    """
    if not re.fullmatch(r"[a-z]+", name):
        raise NameNotUsable(f"{name!r}: NAME is written in small letters a to z, as in `make app NAME=surveys`")
    if keyword.iskeyword(name):
        raise NameNotUsable(f"{name!r}: a keyword of Python")
    if len(name) > LONGEST:
        raise NameNotUsable(f"{name!r}: at most {LONGEST} letters, because the names of indexes are made of it")
    if name in SERVICES or (tree / "apps" / name).exists():
        raise NameNotUsable(f"{name!r}: there is such an app")
    if importlib.util.find_spec(name) is not None:
        raise NameNotUsable(f"{name!r}: there is a Python module of this name")
    if name in _labels(tree):
        raise NameNotUsable(f"{name!r}: an installed app of Django's or of a library has this label")
    words = {name.upper(), name.capitalize()}
    if keyword.iskeyword(name.capitalize()) or words & _written(tree):
        raise NameNotUsable(
            f"{name!r}: its constant {name.upper()} or its class {name.capitalize()} would have two meanings"
        )
    if name in TAKEN | _hosts(tree) | _paths():
        raise NameNotUsable(f"{name!r}: a host, a database or a path of the public API has this name")


def check_title(title: str) -> None:
    """Check a title, which stands in source and in a catalogue. Raises: NameNotUsable."""
    if not title.strip() or any(not character.isprintable() or character in '"\\{}%' for character in title):
        raise NameNotUsable(f"{title!r}: printable, without quotes, backslashes, braces and percent signs")


def _labels(tree: Path) -> set[str]:
    settings = ast.parse((tree / "landcontracts/settings.py").read_text())
    assigned = (node for node in settings.body if isinstance(node, ast.Assign))
    apps = next(node.value for node in assigned if ast.unparse(node.targets[0]) == "INSTALLED_APPS")
    constants = (node.value for node in ast.walk(apps) if isinstance(node, ast.Constant))
    return {str(label).rpartition(".")[2] for label in constants}


def _written(tree: Path) -> set[str]:
    """The words of the new app's files, and of the modules that import its constant and its fake."""
    files = [*Path(__file__).with_name("app").rglob("*.py-tpl"), tree / "tests/world.py", tree / "tests/pacts/uses.py"]
    return {word for file in files for word in re.findall(r"\w+", file.read_text())}


def _hosts(tree: Path) -> set[str]:
    """The services of both compose files."""
    files = ("docker-compose.yml", "migrations_playbook/docker-compose.migration.yml")
    return {host for file in files for host in yaml.safe_load((tree / file).read_text())["services"]}


def _paths() -> set[str]:
    return {part for route in ROUTES for part in route.path.split("/")}

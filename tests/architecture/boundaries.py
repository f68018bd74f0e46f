"""Forbidden dependencies between apps, found in the source: imports, string foreign keys, model look-ups, signals, SQL, transactions.

import-linter sees imports only; this reads everything else that couples two apps. `violations` takes a tree, so that a
test can plant each kind and see it reported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from landcontracts.topology import SERVICES

BOUNDED = tuple(SERVICES)
# Which other apps' modules a file may import, by the role that its name gives it.
SEES_OTHER_INTERFACES = {
    "service",
    "handlers",
    "logic",
    "gateways",
    "testing",
    "tests",
    "views",
    "urls",
    "forms",
    "words",
}
# The control plane has rows copied, and asks no other app.
ASKS = ("extraction", "datasync")
NEVER_CALLS = {"logic", "mapping", "models", "interface", "gateways"}
OWN_ALLOWED = {
    "interface": set(),
    "rest": {"interface", "rest"},
    "tasks": {"interface"},
    "logic": {"interface", "models", "gateways", "logic"},
    "mapping": {"interface", "models", "logic"},
    "models": {"interface"},
}
SIGNALS = re.compile(r"\b(post_save|pre_save|post_delete|pre_delete|m2m_changed|receiver)\b")
TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+([a-z]+)_[a-z_]+", re.IGNORECASE)
TRANSACTIONS = {"atomic", "set_autocommit", "savepoint"}


def violations(apps: Path) -> list[str]:
    """Every violation below a folder of apps, as `file:line what`."""
    violations_: list[str] = []
    for file in sorted(apps.rglob("*.py")):
        parts = file.relative_to(apps).parts
        if "migrations" in parts or "tests" in parts or len(parts) < 2:
            continue
        tree = ast.parse(file.read_text())
        app, role = parts[0], Path(parts[1]).stem
        violations_ += [f"{'/'.join(parts)}:{line} {what}" for line, what in _of_file(tree, app, role)]
    return violations_


def _of_file(tree: ast.Module, app: str, role: str) -> Iterator[tuple[int, str]]:
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import(node, app, role)
        elif isinstance(node, ast.Call):
            yield from _call(node, app)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from _sql(node, app)


def _docstrings(tree: ast.Module) -> set[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, owners) and node.body)
    return {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}


def _import(node: ast.Import | ast.ImportFrom, app: str, role: str) -> Iterator[tuple[int, str]]:
    names = [alias.name for alias in node.names]
    modules = names if isinstance(node, ast.Import) else [node.module or ""]
    if isinstance(node, ast.ImportFrom) and node.module and len(node.module.split(".")) == 2:
        modules = [f"{node.module}.{name}" for name in names]  # from apps.documents import mapping
    if any(SIGNALS.search(name) for name in names) and "signals" in " ".join(modules):
        yield node.lineno, "uses a signal"
    for module in modules:
        parts = module.split(".")
        if parts[0] != "apps" or len(parts) < 3:
            if role == "interface" and parts[0] == "django":
                yield node.lineno, "an interface imports Django"
            continue
        other, what = parts[1], parts[2]
        if other != app and other != "core" and (app, other) != ("extraction", "backups"):
            if app == "core":
                yield node.lineno, f"core imports {other}"
            elif what != "interface" or not (role in SEES_OTHER_INTERFACES or app == "portal" or (app, other) == ASKS):
                yield node.lineno, f"imports {module}"
        if other == app and app in BOUNDED and role in OWN_ALLOWED and what not in OWN_ALLOWED[role]:
            yield node.lineno, f"{role} imports its own {what}"
        if module == "apps.core.seam.client.registry" and role in NEVER_CALLS and app in BOUNDED:
            yield node.lineno, f"{role} calls another service"


def _call(node: ast.Call, app: str) -> Iterator[tuple[int, str]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    if name in {"ForeignKey", "OneToOneField", "ManyToManyField"} and "." in text and not text.startswith(f"{app}."):
        yield node.lineno, f"a foreign key to {text}"
    if name == "get_model" and app in (*BOUNDED, "portal"):
        yield node.lineno, "looks a model up by name"
    if name in TRANSACTIONS and app in (*BOUNDED, "portal"):
        yield node.lineno, f"opens a transaction of its own by {name}(); command(ctx) is the only one"
    if name == "connect" and SIGNALS.search(ast.unparse(node.func)):
        yield node.lineno, "connects a signal"


def _sql(node: ast.Constant, app: str) -> Iterator[tuple[int, str]]:
    for match in TABLE.finditer(str(node.value)):
        owner = match.group(1).lower()
        if owner in BOUNDED and owner != app:
            yield node.lineno, f"names the table {match.group(0).split()[-1]} of {owner}"

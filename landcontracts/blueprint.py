"""Draws the architecture from the code: calls and events between services, their operations, and the layers of big
apps. Lists in `landcontracts/calls.py` what a lifted-out service may ask.

`python -m landcontracts.blueprint` writes the generated parts of `docs/architecture.md`, and that list; `--check` fails
when one is stale. It reads source and interfaces only, so it needs no database and no settings.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from django.utils.module_loading import import_string

from apps.core.interface.operations import ServiceKey
from landcontracts import layers
from landcontracts.topology import SERVICES

BASE = Path(__file__).resolve().parent.parent
PAGE = BASE / "docs" / "architecture.md"
CALLS = BASE / "landcontracts" / "calls.py"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
LAYERS_BEGIN, LAYERS_END = "<!-- layers: begin -->", "<!-- layers: end -->"
# Apps of several folders. The arrows point down; an import cycle is an error.
LAYERED = ("apps.core", "apps.core.seam", "apps.backups", "apps.extraction", "apps.extraction.routing")


def calls(service: str) -> Iterator[tuple[str, str]]:
    """Every `call(KEY).operation` in an app's source, as (other service, operation)."""
    for file in sorted((BASE / "apps" / service).rglob("*.py")):
        if {"tests", "migrations"} & set(file.parts) or file.name == "testing.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)):
                continue
            function, arguments = node.value.func, node.value.args
            if isinstance(function, ast.Name) and function.id == "call" and isinstance(arguments[0], ast.Name):
                yield arguments[0].id.lower(), node.attr


def diagram() -> str:
    """A diagram with calls as full arrows and events as dotted ones."""
    lines = ["```mermaid", "flowchart LR", "    portal([portal: pages]):::face"]
    lines += [f"    {service}[{service}]" for service in SERVICES]
    for service in ("portal", *SERVICES):
        others = sorted({other for other, _ in calls(service) if other != service and other in SERVICES})
        lines += [f"    {service} --> {other}" for other in others]
    heard = {
        (event.split(".")[0], service): [name for name in entry.consumes if name.split(".")[0] == event.split(".")[0]]
        for service, entry in SERVICES.items()
        for event in entry.consumes
    }
    for (source, service), events in sorted(heard.items()):
        label = "<br/>".join(sorted(event.split(".")[1] for event in events))
        lines.append(f'    {source} -. "{label}" .-> {service}')
    return "\n".join([*lines, "    classDef face fill:#eef,stroke:#88a", "```"])


def canvas(service: str) -> str:
    """The table row of one service: its operations, its calls to others, the events that it handles."""
    entry = SERVICES[service]
    key: ServiceKey[object] = import_string(entry.key)
    offered = ", ".join(f"`{name}`{'' if op.kind == 'query' else ' ✎'}" for name, op in key.operations.items())
    asked = sorted({f"`{other}.{name}`" for other, name in calls(service) if other != service and other in SERVICES})
    hears = ", ".join(f"`{event}`" for event in entry.consumes)
    return f"| {service} | {offered} | {', '.join(asked) or '—'} | {hears or '—'} |"


def generated() -> str:
    """The generated part about services, calls and events."""
    rows = "\n".join(canvas(service) for service in SERVICES)
    table = f"| service | offers (✎ is a command) | asks | hears |\n|---|---|---|---|\n{rows}"
    return f"{BEGIN}\n{diagram()}\n\n{table}\n{END}"


def layered() -> str:
    """The generated part about the layers of apps with several folders. Raises: layers.ImportCycle."""
    drawings = "\n\n".join(f"### `{package}`\n\n{layers.drawing(package)}" for package in LAYERED)
    return f"{LAYERS_BEGIN}\n{drawings}\n{LAYERS_END}"


def current(page: str) -> str:
    """The page with its generated parts up to date."""
    for begin, end, text in ((BEGIN, END, generated()), (LAYERS_BEGIN, LAYERS_END, layered())):
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{text}{after}"
    return page


def call_list() -> str:
    """The source of `landcontracts/calls.py`."""
    lines = [
        '"""What each service asks of the others: written by `make blueprint`, held by `core/seam/server/callers.py`."""',
        "",
        "CALLS: dict[str, dict[str, tuple[str, ...]]] = {",
    ]
    for service in SERVICES:
        # Every service reads again the roles that another claims, and which tokens were revoked.
        asked = {} if service == "authentication" else {"authentication": {"cards", "revoked_tokens"}}
        for other, operation in calls(service):
            if other != service and other in SERVICES:
                asked.setdefault(other, set()).add(operation)
        lines.append(f'    "{service}": {{' + ("" if asked else "},"))
        for other, operations in sorted(asked.items()):
            names = ", ".join(f'"{name}"' for name in sorted(operations))
            lines.append(f'        "{other}": ({names}{"," if len(operations) == 1 else ""}),')
        lines += ["    },"] if asked else []
    return "\n".join([*lines, "}", ""])


def main(arguments: list[str]) -> int:
    """Write the page and the list, or check them."""
    page = PAGE.read_text()
    expected = {PAGE: current(page), CALLS: call_list()}
    if "--check" in arguments:
        stale = [file for file, text in expected.items() if not file.exists() or file.read_text() != text]
        for file in stale:
            print(f"{file.relative_to(BASE)} is stale: run `make blueprint`", file=sys.stderr)
        return 1 if stale else 0
    for file, text in expected.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

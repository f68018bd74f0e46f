"""Finds the layers of one app from the imports between its folders, and draws them from the bottom to the top.

An import inside a function counts as any other, because it is a dependency too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

BASE = Path(__file__).resolve().parent.parent
SKIPPED = {"tests", "migrations", "__pycache__"}


class ImportCycle(Exception):
    """Folders import each other in a cycle; the message names it."""


class Layers(NamedTuple):
    """The parts of an app, bottom first, and the imports of each from the others."""

    order: tuple[str, ...]
    imports: dict[str, frozenset[str]]

    def reduced(self) -> dict[str, frozenset[str]]:
        """The transitive reduction of the imports: of `a -> b -> c` and `a -> c` only the first two are drawn."""
        reach: dict[str, frozenset[str]] = {}
        for part in self.order:
            reach[part] = self.imports[part].union(*(reach[other] for other in self.imports[part]))
        return {
            part: frozenset(
                other
                for other in self.imports[part]
                if not any(other in reach[third] for third in self.imports[part] if third != other)
            )
            for part in self.order
        }


def of(package: str, base: Path = BASE) -> Layers:
    """The layers of a package such as `apps.core`: its folders, and the modules beside them. Raises: ImportCycle."""
    root = base.joinpath(*package.split("."))
    parts = sorted({path.stem for path in root.iterdir() if path.name not in SKIPPED and _is_part(path)} - {"__init__"})
    imports = {part: frozenset(_imports(package, root, part) & (set(parts) - {part})) for part in parts}
    try:
        order = tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        raise ImportCycle(f"{package}: {' <- '.join(error.args[1])}") from None
    heights: dict[str, int] = {}
    for part in order:
        heights[part] = 1 + max((heights[other] for other in imports[part]), default=-1)
    return Layers(tuple(sorted(parts, key=lambda part: (heights[part], part))), imports)


def drawing(package: str, base: Path = BASE) -> str:
    """A diagram whose arrows all point down, with the whole list of imports below it. Raises: ImportCycle."""
    layers = of(package, base)
    reduced = layers.reduced()
    lines = ["```mermaid", "flowchart TB"]
    lines += [f"    {part}" for part in reversed(layers.order)]
    lines += [f"    {part} --> {other}" for part in reversed(layers.order) for other in sorted(reduced[part])]
    rows = [
        f"| `{part}` | {', '.join(f'`{other}`' for other in layers.order if other in layers.imports[part]) or '—'} |"
        for part in reversed(layers.order)
    ]
    return "\n".join([*lines, "```", "", f"| of `{package}` | imports |", "|---|---|", *rows])


def _is_part(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))


def _imports(package: str, root: Path, part: str) -> set[str]:
    folder = root / part
    files = folder.rglob("*.py") if folder.is_dir() else [root / f"{part}.py"]
    return {
        name.removeprefix(f"{package}.").split(".")[0]
        for file in files
        if not SKIPPED & set(file.relative_to(root).parts)
        for name in _names(file)
        if name.startswith(f"{package}.")
    }


def _names(file: Path) -> Iterator[str]:
    """The dotted names that a file imports: `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)

"""documentation_updated: pages exist in both languages, and this build understands every command in them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, get_commands, load_command_class
from django.core.management.base import BaseCommand

from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.decommission.items import monitoring
from apps.extraction.state.phases import PHASES

PLAYBOOK = "migrations_playbook"
# The index and a page for each phase, each with the same in Russian beside it.
PAGES = tuple(
    f"{PLAYBOOK}/{page.removesuffix('.md')}{language}.md"
    for page in ("README.md", *(phase.page for phase in PHASES))
    for language in ("", ".ru")
)
FENCE = re.compile(r"^ *```(?:sh|bash|shell|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
MAKE = re.compile(r"(?:^|[;&|]\s*)make\s+(?:-\S+\s+)*([a-z][a-z-]*)(?:\s+ARGS=(\"[^\"]*\"|'[^']*'))?")
MANAGE = re.compile(r"manage\.py\s+([^;&|<>\n]*)")
PLACEHOLDER = re.compile(r"\$\{?SERVICE\}?|\bSERVICE\b|<service>")


def documentation_updated(service: str) -> Finding:
    """Which pages are missing, and which of their commands do not exist."""
    base = Path(settings.BASE_DIR)
    try:
        runbooks = list(_runbooks())
    except monitoring.NoRules as error:
        return fails(f"the required runbooks are not known: {error}")
    expected = [
        base / "apps" / service / "README.md",
        *(base / page for page in PAGES),
        *(base / page for page in runbooks),
    ]
    missing = [str(page.relative_to(base)) for page in expected if not page.is_file() or not page.read_text().strip()]
    pages = sorted({*(page for page in expected if page.is_file()), *(base / PLAYBOOK).rglob("*.md")})
    problems = [
        f"{page.relative_to(base)}: {words}" for page in pages for words in wrong_commands(page.read_text(), service)
    ]
    evidence: dict[str, Any] = {
        "pages": len(pages),
        "runbooks": len(runbooks),
        "missing": missing[:50],
        "wrong": problems[:50],
    }
    if missing or problems:
        words = [f"{len(missing)} pages are missing: {missing[0]}"] if missing else []
        words += [f"{len(problems)} commands do not exist: {problems[0]}"] if problems else []
        return fails("; ".join(words), **evidence)
    return holds(f"{len(pages)} pages, {len(runbooks)} of them runbooks; every command in them is known", **evidence)


def wrong_commands(text: str, service: str) -> Iterator[str]:
    """Commands in a page's fenced blocks that this build does not understand."""
    targets = set(TARGET.findall((Path(settings.BASE_DIR) / "Makefile").read_text()))
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            bare = PLACEHOLDER.sub(service, line.strip().removeprefix("$ "))
            if not bare or bare.startswith("#") or "…" in bare:
                continue
            for target, arguments in MAKE.findall(bare):
                if target not in targets:
                    yield f"make {target}: there is no such target"
                elif target == "manage" and arguments:
                    yield from _wrong(arguments[1:-1])
            for arguments in MANAGE.findall(bare):
                yield from _wrong(arguments)


def _runbooks() -> Iterator[str]:
    """The page of each alert, and the same in Russian beside it. Raises: NoRules."""
    for name, rule in monitoring.alerts().items():
        page = rule.get("annotations", {}).get("runbook_url") or f"{PLAYBOOK}/alerting/runbooks/{name}.md"
        inside = page[page.find(PLAYBOOK) :] if PLAYBOOK in page else page
        yield inside
        yield f"{inside.removesuffix('.md')}.ru.md"


def _wrong(line: str) -> Iterator[str]:
    """The error of a command's own parser about its arguments, if there is one."""
    try:
        name, *rest = shlex.split(line, comments=True)
    except ValueError as error:
        yield f"manage.py {line}: {error}"
        return
    commands = get_commands()
    if name not in commands:
        yield f"manage.py {name}: there is no such command"
        return
    app = commands[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            command.create_parser("manage.py", name).parse_args(rest)
    except (CommandError, SystemExit) as error:
        if "--help" not in rest:
            words = (output.getvalue().strip().splitlines() or [str(error)])[-1]
            yield f"manage.py {line.strip()}: {words}"

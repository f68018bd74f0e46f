"""documentation_updated: pages are there in both languages, and every command that they name is one that this build understands."""

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
    """What is missing, and which commands there are not."""
    base = Path(settings.BASE_DIR)
    try:
        runbooks = list(_runbooks())
    except monitoring.NoRules as error:
        return fails(f"which runbooks there have to be is not known: {error}")
    wanted = [
        base / "apps" / service / "README.md",
        *(base / page for page in PAGES),
        *(base / page for page in runbooks),
    ]
    missing = [str(page.relative_to(base)) for page in wanted if not page.is_file() or not page.read_text().strip()]
    pages = sorted({*(page for page in wanted if page.is_file()), *(base / PLAYBOOK).rglob("*.md")})
    wrong = [
        f"{page.relative_to(base)}: {words}" for page in pages for words in wrong_commands(page.read_text(), service)
    ]
    seen: dict[str, Any] = {
        "pages": len(pages),
        "runbooks": len(runbooks),
        "missing": missing[:50],
        "wrong": wrong[:50],
    }
    if missing or wrong:
        words = [f"{len(missing)} pages are missing: {missing[0]}"] if missing else []
        words += [f"{len(wrong)} commands are none: {wrong[0]}"] if wrong else []
        return fails("; ".join(words), **seen)
    return holds(f"{len(pages)} pages, {len(runbooks)} of them runbooks; every command in them is known", **seen)


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
    """What a command says of its arguments itself, when it only reads them."""
    try:
        verb, *rest = shlex.split(line, comments=True)
    except ValueError as error:
        yield f"manage.py {line}: {error}"
        return
    known = get_commands()
    if verb not in known:
        yield f"manage.py {verb}: there is no such command"
        return
    app = known[verb]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, verb)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            command.create_parser("manage.py", verb).parse_args(rest)
    except (CommandError, SystemExit) as error:
        if "--help" not in rest:
            words = (said.getvalue().strip().splitlines() or [str(error)])[-1]
            yield f"manage.py {line.strip()}: {words}"

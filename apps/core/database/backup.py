"""PostgreSQL's own backup tools: pg_dump and pg_restore, from the folder of the setting PG_BIN or the path."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings

from apps.core.database.places import NoWay


class BackupFailed(Exception):
    """A tool is missing, or has failed; the message is what it said."""


def dump(alias: str, tables: Sequence[str], file: Path, *, options: Sequence[str] = ()) -> None:
    """Write some tables of a database into a file of pg_dump's custom format. Raises: BackupFailed, NoWay."""
    named = [f"--table=public.{table}" for table in tables]
    _run("pg_dump", ["--format=custom", "--no-owner", *options, *named, f"--file={file}"], _url(alias))


def restore(alias: str, database: str, file: Path, *, options: Sequence[str] = ()) -> None:
    """Restore such a file into a database beside the alias's, which may be empty. Raises: BackupFailed, NoWay."""
    parts = urlsplit(_url(alias))
    url = urlunsplit(parts._replace(path=f"/{database}"))
    _run("pg_restore", ["--no-owner", "--no-privileges", "--exit-on-error", *options, str(file)], url, by_option=True)


def find(tool: str) -> str:
    """Where a tool is. Raises: BackupFailed."""
    found = shutil.which(tool, path=settings.PG_BIN or None) or shutil.which(tool)
    if found is None:
        raise BackupFailed(f"{tool} was not found: install PostgreSQL's client programs, or set PG_BIN")
    return found


def _url(alias: str) -> str:
    if alias not in settings.CONTROL_URLS:
        raise NoWay(alias)
    return str(settings.CONTROL_URLS[alias])


def _run(tool: str, arguments: list[str], url: str, *, by_option: bool = False) -> None:
    # The password goes by the environment: a command line is everybody's to read.
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port or 5432}"))
    environment: dict[str, Any] = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    done = subprocess.run(
        [find(tool), *arguments, *(["--dbname"] if by_option else []), bare],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupFailed(f"{tool}: {done.stderr.strip()[-2000:]}")

"""Runs PostgreSQL's pg_dump and pg_restore, from the folder of the setting PG_BIN or the path."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings

from apps.core.postgres.connections import control_url

META = ("\\restrict ", "\\unrestrict ")


class BackupFailed(Exception):
    """A tool is missing, or has failed; the message is its error output."""


def dump(alias: str, tables: Sequence[str], file: Path, *, options: Sequence[str] = ()) -> None:
    """Write some tables of a database into a file of pg_dump's custom format. Raises: BackupFailed, NoWay."""
    named = [f"--table=public.{table}" for table in tables]
    _run("pg_dump", ["--format=custom", "--no-owner", *options, *named, f"--file={file}"], control_url(alias))


def restore(alias: str, database: str, file: Path, *, options: Sequence[str] = ()) -> None:
    """Restore such a file into another database on the alias's server; it may be empty. Raises: BackupFailed, NoWay."""
    parts = urlsplit(control_url(alias))
    url = urlunsplit(parts._replace(path=f"/{database}"))
    _run("pg_restore", ["--no-owner", "--no-privileges", "--exit-on-error", *options, str(file)], url, by_option=True)


def dump_snapshot(url: str, snapshot: str, file: Path) -> None:
    """Write everything in the schema public, as an exported snapshot shows it. Raises: BackupFailed."""
    # Fast rather than small: while the dump runs, its snapshot keeps vacuum from removing dead rows.
    arguments = ["--format=custom", "--compress=gzip:1", "--schema=public", "--no-owner", "--no-privileges"]
    _run("pg_dump", [*arguments, f"--snapshot={snapshot}", f"--file={file}"], url)


def restore_section(url: str, file: Path, section: str, *, jobs: int, role: str) -> None:
    """Restore a section (pre-data, data or post-data) of such a file, as the future owner. Raises: BackupFailed."""
    arguments = ["--no-owner", "--no-privileges", "--exit-on-error", f"--section={section}", f"--role={role}"]
    _run("pg_restore", [*arguments, f"--jobs={jobs}", str(file)], url, by_option=True)


def shape_of(file: Path) -> str:
    """The statements that create such a file's tables, without keys, indexes and triggers. Raises: BackupFailed."""
    # The objects in the schema, and not the schema, which exists.
    arguments = ["--schema=public", "--no-owner", "--no-privileges", "--section=pre-data", "--file=-", str(file)]
    process = subprocess.run([find("pg_restore"), *arguments], capture_output=True, text=True, check=False)
    if process.returncode:
        raise BackupFailed(f"pg_restore: {process.stderr.strip()[-2000:]}")
    # psql's own commands, which a server does not know.
    return "".join(line for line in process.stdout.splitlines(keepends=True) if not line.startswith(META))


def version(tool: str) -> str:
    """A tool's version line. Raises: BackupFailed."""
    process = subprocess.run([find(tool), "--version"], capture_output=True, text=True, check=False)
    return process.stdout.strip()


def find(tool: str) -> str:
    """The path of a tool. Raises: BackupFailed."""
    path = shutil.which(tool, path=settings.PG_BIN or None) or shutil.which(tool)
    if path is None:
        raise BackupFailed(f"{tool} was not found: install PostgreSQL's client programs, or set PG_BIN")
    return path


def _run(tool: str, arguments: list[str], url: str, *, by_option: bool = False) -> None:
    # The password goes into the environment, because every user of the machine can read a command line.
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port or 5432}"))
    environment: dict[str, Any] = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    process = subprocess.run(
        [find(tool), *arguments, *(["--dbname"] if by_option else []), bare],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise BackupFailed(f"{tool}: {process.stderr.strip()[-2000:]}")

"""The folder of backups: lists them, finds the newest and removes old ones. One process at a time writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.utils import timezone

from apps.backups import manifest
from apps.backups.manifest import Manifest, NoBackup

UNFINISHED = ".unfinished-"


class Busy(Exception):
    """Another process writes in this folder, or reads backups that would be removed."""


class Backup(NamedTuple):
    """A backup and its folder."""

    folder: Path
    manifest: Manifest


@contextlib.contextmanager
def held(root: Path, *, writing: bool) -> Iterator[None]:
    """Lock a folder of backups: one writer, or any number of readers. Ends with its process. Raises: Busy."""
    if writing:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(root / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        if writing:
            raise
        yield  # mounted read-only, or missing: no process removes anything from it
        return
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if writing else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Busy(f"another backup or restore is using {root}") from None
    try:
        yield
    finally:
        os.close(descriptor)


def new_id() -> str:
    """A name that sorts by time."""
    return f"{timezone.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def whole(root: Path) -> list[Backup]:
    """Every whole backup, the newest first; folders without a readable manifest are none."""
    backups = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith("."):
            with contextlib.suppress(NoBackup):
                backups.append(Backup(folder, manifest.read(folder)))
    return sorted(backups, key=lambda backup: backup.manifest.cut_at, reverse=True)


def newest(root: Path) -> Backup:
    """The newest backup. Raises: NoBackup."""
    backups = whole(root)
    if not backups:
        raise NoBackup(f"there is no backup in {root}: manage.py backup")
    return backups[0]


def find(root: Path, named: str) -> Backup:
    """A backup by its id, by its path, or `latest`. Raises: NoBackup."""
    if named == "latest":
        return newest(root)
    for folder in (Path(named), root / named):
        if folder.is_dir():
            return Backup(folder.resolve(), manifest.read(folder))
    raise NoBackup(f"there is no backup {named} in {root}")


def unfinished(root: Path) -> list[Path]:
    """The folders left by interrupted backups."""
    return sorted(root.glob(f"{UNFINISHED}*"))


def keep(root: Path, count: int) -> list[str]:
    """Remove all but the `count` newest backups, and the remains of interrupted ones; returns the removed ids.

    Called inside `held(writing=True)`.
    """
    removed = []
    for backup in whole(root)[max(count, 1) :]:
        # Rename it first, so that a half-removed backup is not taken for a whole one.
        doomed = root / f"{UNFINISHED}{backup.folder.name}"
        backup.folder.rename(doomed)
        removed.append(backup.manifest.id)
    for folder in unfinished(root):
        shutil.rmtree(folder)
    return removed

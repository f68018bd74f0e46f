"""Takes a backup: the instant, every database and object as of the instant, and the manifest that completes it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psycopg
from django.conf import settings
from django.utils import timezone

from apps.backups import grants, manifest, objects, repository
from apps.backups.instant import Instant, View, hold_instant
from apps.backups.manifest import Database, Manifest, TableFacts
from apps.backups.repository import Backup
from apps.core.postgres import checksums, connections, pg_dump

Tell = Callable[[str], None]
APPLIED = "SELECT app, name FROM django_migrations"
# The number of earlier backups that are searched for an object before it is copied again.
EARLIER = 3


class Planned(NamedTuple):
    """The content of a backup taken now. `database_bytes` are sizes on disk."""

    primaries: dict[str, str]
    database_bytes: dict[str, int]
    objects: int
    object_bytes: int
    to_copy: int
    free_bytes: int


def take(root: Path, *, stages: Mapping[str, str], tell: Tell = lambda _: None, reread: bool = False) -> Backup:
    """Back everything up. `stages`, each service's migration stage, goes into the manifest.

    Raises: Busy, BackupFailed, NoWay, psycopg.Error, OSError; then there is no backup.
    """
    with repository.held(root, writing=True):
        left, name, began = repository.unfinished(root), repository.new_id(), timezone.now()
        folder = root / f"{repository.UNFINISHED}{name}"
        folder.mkdir(mode=0o700)
        earlier = [*(backup.folder for backup in repository.whole(root)[:EARLIER]), *left]
        with hold_instant() as instant:
            tell(f"instant taken: commands waited for {instant.pause_ms:.1f} ms, in {instant.attempts} attempts")
            databases = _dump_all(instant, folder, tell)
            migrations = _migrations(instant)
            copied = objects.copy(instant, folder, earlier, reread=reread)
            tell(f"objects: {copied.count} rows name {copied.bytes} bytes, {copied.copied} copied, the others linked")
        backup_manifest = Manifest(
            format=manifest.FORMAT,
            id=name,
            product=str(settings.SPECTACULAR_SETTINGS["VERSION"]),
            tool=pg_dump.version("pg_dump"),
            started_at=began,
            cut_at=instant.at,
            ended_at=timezone.now(),
            pause_ms=instant.pause_ms,
            attempts=instant.attempts,
            primaries=instant.primaries,
            stages=dict(stages),
            migrations=migrations,
            databases=databases,
            objects=copied,
            kept_beside=manifest.fingerprints(name),
        )
        manifest.write(folder, backup_manifest)
        folder.rename(root / name)
        manifest.sync_folder(root)
        for leftover in left:
            shutil.rmtree(leftover)
    return Backup(root / name, backup_manifest)


def plan(root: Path) -> Planned:
    """Plan a backup; writes nothing. Raises: BackupFailed, NoWay, psycopg.Error."""
    earlier = [backup.folder for backup in repository.whole(root)[:EARLIER]]
    sizes: dict[str, int] = {}
    with hold_instant() as instant:
        for alias, view in instant.views.items():
            row = view.connection.execute("SELECT pg_database_size(current_database())").fetchone()
            sizes[alias] = int(row[0]) if row else 0
        count = total = to_copy = 0
        for entry in objects.named_by(instant):
            count, total = count + 1, total + entry.size
            to_copy += not any(objects.place(folder, entry.sha256).exists() for folder in earlier)
    existing = next(parent for parent in (root, *root.parents) if parent.exists())
    return Planned(instant.primaries, sizes, count, total, to_copy, shutil.disk_usage(existing).free)


def _dump_all(instant: Instant, folder: Path, tell: Tell) -> tuple[Database, ...]:
    """Dump all databases in parallel: the shorter the snapshots are held, the less they hold back vacuum."""
    with ThreadPoolExecutor(len(instant.views), thread_name_prefix="backup") as workers:
        return tuple(workers.map(lambda view: _dump(view, folder, tell), instant.views.values()))


def _dump(view: View, folder: Path, tell: Tell) -> Database:
    began = time.monotonic()
    file = folder / f"{view.alias}.dump"
    file.touch(mode=0o600)
    pg_dump.dump_snapshot(connections.control_url(view.alias), view.snapshot, file)
    database = Database(
        alias=view.alias,
        file=file.name,
        bytes=file.stat().st_size,
        sha256=manifest.digest_of(file),
        server_version=view.connection.info.server_version,
        tables={name: TableFacts(*sums) for name, sums in checksums.contents(view.connection, view.tables).items()},
        grants=grants.grants(view.connection),
        future_grants=grants.future_grants(view.connection),
        fences=grants.fences(view.connection),
    )
    tell(
        f"{view.alias}: {len(database.tables)} tables, {database.rows} rows, {database.bytes} bytes,"
        f" {time.monotonic() - began:.1f} s"
    )
    return database


def _migrations(instant: Instant) -> tuple[str, ...]:
    applied: set[str] = set()
    for view in instant.views.values():
        try:
            applied.update(f"{app}.{name}" for app, name in view.connection.execute(APPLIED).fetchall())
        except psycopg.errors.UndefinedTable:
            raise pg_dump.BackupFailed(f"{view.alias} has no tables of this platform") from None
    return tuple(sorted(applied))

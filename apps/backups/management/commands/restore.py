"""`manage.py restore latest`: bring a backup back, or show in scratch databases that it could be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from apps.backups import manifest, repository, restore, targets
from apps.backups.repository import Backup
from apps.backups.targets import NoTarget, Target
from apps.backups.verify import NotTheSame
from apps.core.database.primaries import SHARED
from apps.core.postgres.connections import NoWay
from apps.core.postgres.pg_dump import BackupFailed

PROBLEMS = (BackupFailed, NoWay, NotTheSame, NoTarget, repository.Busy, manifest.NoBackup, psycopg.Error, OSError)
SCRATCH = "scratch"


class Command(BaseCommand):
    """Into the databases of this environment, unless told otherwise. What is not empty is refused."""

    help = "Restore a backup into empty databases, compare it with what was backed up, and give the rights back."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which backup, and where to."""
        parser.add_argument("backup", help="its id, its folder, or `latest`")
        parser.add_argument("--from", dest="root", default=settings.BACKUP_ROOT, help="a folder of backups")
        parser.add_argument(
            "--into",
            default="",
            help="`scratch`, or the control role's URLs as JSON by alias; default: this environment",
        )
        parser.add_argument("--bucket", default="", help="where objects are put (default: S3_BUCKET)")
        parser.add_argument("--check", action="store_true", help="read every byte of the backup, and restore nothing")
        parser.add_argument("--plan", action="store_true", help="show what would be done and what is in the way")
        parser.add_argument("--replace", action="store_true", help="take away what is there; wants --confirm")
        parser.add_argument("--confirm", default="", help="the name of the shared database that is replaced")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Do it. Raises: CommandError."""
        root = Path(options["root"])
        try:
            with repository.held(root, writing=False):
                kept = repository.find(root, options["backup"])
                self._restore(kept, options)
        except PROBLEMS as error:
            raise CommandError(f"restore: {error}") from error

    def _restore(self, kept: Backup, options: dict[str, Any]) -> None:
        into = options["into"]
        if options["plan"]:
            self._plan(kept, into, options)
            return
        count = restore.check_files(kept)
        self._tell(f"{kept.manifest.id}: {len(kept.manifest.databases)} files and {count} objects are whole")
        if into == SCRATCH:
            aliases = [database.alias for database in kept.manifest.databases]
            with targets.scratch(aliases) as target:
                restore.require_target(kept, target, replace=False)
                restore.restore(kept, target, tell=self._tell)
            self._tell("restored into scratch databases, compared, and dropped again")
        elif not options["check"]:
            target = _target(into, options["bucket"])
            restore.require_target(kept, target, replace=options["replace"], word=options["confirm"])
            self._finish(kept, restore.restore(kept, target, tell=self._tell))

    def _finish(self, kept: Backup, done: restore.Restored) -> None:
        if other := manifest.other_secrets(kept.manifest.kept_beside, kept.manifest.id):
            self._tell(f"not those that the backup was made with: {', '.join(other)}")
            for name in other:
                self._tell(f"  {name}: {manifest.KEPT_BESIDE[name]}")
        if done.migrations_behind:
            self._tell(f"{done.migrations_behind} migrations are newer than the backup: run manage.py migrate")

    def _plan(self, kept: Backup, into: str, options: dict[str, Any]) -> None:
        made = kept.manifest
        self._tell(f"{made.id} of {made.cut_at:%Y-%m-%d %H:%M:%S %Z}, product {made.product}, {made.tool}")
        for database in made.databases:
            primary_of = ", ".join(service for service, primary in made.primaries.items() if primary == database.alias)
            self._tell(
                f"  {database.alias}: {len(database.tables)} tables, {database.rows} rows; primary of: {primary_of}"
            )
        self._tell(f"  objects: {made.objects.count} of {made.objects.bytes} bytes")
        for number, words in enumerate(_steps(into), 1):
            self._tell(f"  {number}. {words}")
        if into != SCRATCH:
            try:
                target = _target(into, options["bucket"])
                restore.require_target(kept, target, replace=options["replace"], word=options["confirm"])
                self._tell("  nothing is in the way")
            except (NoTarget, manifest.NoBackup) as error:
                self._tell(f"  REFUSED {error}")

    def _tell(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


def _target(into: str, bucket: str) -> Target:
    if not into:
        return targets.this_environment(bucket)
    try:
        urls = json.loads(into)
    except ValueError:
        raise NoTarget("--into wants `scratch`, or a JSON object of URLs by alias") from None
    if not isinstance(urls, dict) or SHARED not in urls or not all(isinstance(url, str) for url in urls.values()):
        raise NoTarget(f"--into wants a JSON object of URLs by alias, {SHARED} among them")
    return Target(urls, bucket)


def _steps(into: str) -> tuple[str, ...]:
    if into == SCRATCH:
        return (
            "read: every byte of the backup, by its SHA-256",
            "make: scratch databases beside the real ones, closed to everybody",
            "fill and compare: every row, then rights and primaries",
            "drop: the scratch databases; objects were read, and put nowhere",
        )
    return (
        "read: every byte of the backup, by its SHA-256; nothing is touched before",
        "shape: in one transaction for each database, what is there goes, the tables are made, nobody may use them",
        "fill: rows, then keys and triggers, all databases at a time; objects into the bucket, each read back",
        "compare: every row with what was backed up",
        "rights: fences under new epochs, then what everybody was allowed; one writable primary for each service",
    )

"""`manage.py restore latest`: restores a backup, or proves in scratch databases that it can be restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from apps.backups import repository, restore, targets
from apps.backups.manifest import KEPT_BESIDE, NoBackup, other_secrets
from apps.backups.repository import Backup
from apps.backups.targets import NoTarget, Target
from apps.backups.verify import NotTheSame
from apps.core.database.primaries import SHARED
from apps.core.postgres.connections import NoWay
from apps.core.postgres.pg_dump import BackupFailed

PROBLEMS = (BackupFailed, NoWay, NotTheSame, NoTarget, repository.Busy, NoBackup, psycopg.Error, OSError)
SCRATCH = "scratch"


class Command(BaseCommand):
    """Restores into the databases of this environment by default. Databases that are not empty are refused."""

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
        parser.add_argument("--plan", action="store_true", help="show the steps and the obstacles")
        parser.add_argument("--replace", action="store_true", help="replace the present content; needs --confirm")
        parser.add_argument("--confirm", default="", help="the name of the shared database that is replaced")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, check or plan. Raises: CommandError."""
        root = Path(options["root"])
        try:
            with repository.held(root, writing=False):
                backup = repository.find(root, options["backup"])
                self._restore(backup, options)
        except PROBLEMS as error:
            raise CommandError(f"restore: {error}") from error

    def _restore(self, backup: Backup, options: dict[str, Any]) -> None:
        into = options["into"]
        if options["plan"]:
            self._plan(backup, into, options)
            return
        count = restore.check_files(backup)
        self._tell(f"{backup.manifest.id}: {len(backup.manifest.databases)} files and {count} objects are whole")
        if into == SCRATCH:
            aliases = [database.alias for database in backup.manifest.databases]
            with targets.scratch(aliases) as target:
                restore.require_target(backup, target, replace=False)
                restore.restore(backup, target, tell=self._tell)
            self._tell("restored into scratch databases, compared, and dropped again")
        elif not options["check"]:
            target = _target(into, options["bucket"])
            restore.require_target(backup, target, replace=options["replace"], word=options["confirm"])
            self._finish(backup, restore.restore(backup, target, tell=self._tell))

    def _finish(self, backup: Backup, restored: restore.Restored) -> None:
        if other := other_secrets(backup.manifest.kept_beside, backup.manifest.id):
            self._tell(f"not those that the backup was made with: {', '.join(other)}")
            for name in other:
                self._tell(f"  {name}: {KEPT_BESIDE[name]}")
        if restored.migrations_behind:
            self._tell(f"{restored.migrations_behind} migrations are newer than the backup: run manage.py migrate")

    def _plan(self, backup: Backup, into: str, options: dict[str, Any]) -> None:
        manifest = backup.manifest
        self._tell(
            f"{manifest.id} of {manifest.cut_at:%Y-%m-%d %H:%M:%S %Z}, product {manifest.product}, {manifest.tool}"
        )
        for database in manifest.databases:
            primary_of = ", ".join(
                service for service, primary in manifest.primaries.items() if primary == database.alias
            )
            self._tell(
                f"  {database.alias}: {len(database.tables)} tables, {database.rows} rows; primary of: {primary_of}"
            )
        self._tell(f"  objects: {manifest.objects.count} of {manifest.objects.bytes} bytes")
        for number, words in enumerate(_steps(into), 1):
            self._tell(f"  {number}. {words}")
        if into != SCRATCH:
            try:
                target = _target(into, options["bucket"])
                restore.require_target(backup, target, replace=options["replace"], word=options["confirm"])
                self._tell("  nothing is in the way")
            except (NoTarget, NoBackup) as error:
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
        raise NoTarget("--into takes `scratch`, or a JSON object of URLs by alias") from None
    if not isinstance(urls, dict) or SHARED not in urls or not all(isinstance(url, str) for url in urls.values()):
        raise NoTarget(f"--into takes a JSON object of URLs by alias, {SHARED} among them")
    return Target(urls, bucket)


def _steps(into: str) -> tuple[str, ...]:
    if into == SCRATCH:
        return (
            "read: every byte of the backup, by its SHA-256",
            "create: scratch databases beside the real ones, open to their owner alone",
            "fill and compare: every row, then rights and primaries",
            "drop: the scratch databases; objects were only read",
        )
    return (
        "read: every byte of the backup, by its SHA-256, before any change",
        "shape: in one transaction for each database, drop the present tables and create the backup's, without rights",
        "fill: rows, then keys and triggers, all databases at a time; objects into the bucket, each read back",
        "compare: every row with the backup",
        "rights: fences under new epochs, then the former rights; one writable primary for each service",
    )

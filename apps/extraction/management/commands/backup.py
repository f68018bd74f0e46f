"""`manage.py backup`: back up every database and object at one instant, while people work; list and remove backups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations
from django.db import DatabaseError

from apps.backups import manifest, repository, take
from apps.core.postgres.connections import NoWay
from apps.core.postgres.pg_dump import BackupFailed
from apps.extraction.state import stages

PROBLEMS = (
    BackupFailed,
    NoWay,
    stages.TwoPrimaries,
    repository.Busy,
    manifest.NoBackup,
    psycopg.Error,
    DatabaseError,
    OSError,
)


class Command(BaseCommand):
    """A backup that was interrupted is no backup; the next one takes over the files it has copied."""

    help = "Back up every database and every object that rows name, at one instant, while people work."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder and the options."""
        parser.add_argument("--to", default=settings.BACKUP_ROOT, help="a folder of backups (default: BACKUP_ROOT)")
        parser.add_argument("--plan", action="store_true", help="show what would be written, and write nothing")
        parser.add_argument("--list", action="store_true", help="show the backups in the folder")
        parser.add_argument(
            "--keep", type=int, metavar="N", help="remove all but the N newest; alone, or after a new one"
        )
        parser.add_argument("--only-keep", action="store_true", help="with --keep: make no new one")
        parser.add_argument(
            "--reread", action="store_true", help="read objects of earlier backups before linking to them"
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Take, list, plan or remove. Raises: CommandError."""
        root = Path(options["to"])
        if options["keep"] is not None and options["keep"] < 1:
            raise CommandError("--keep wants at least 1")
        if options["only_keep"] and options["keep"] is None:
            raise CommandError("--only-keep wants --keep N")
        try:
            if options["list"]:
                self._list(root)
            elif options["plan"]:
                self._plan(root)
            else:
                if not options["only_keep"]:
                    self._take(root, reread=options["reread"])
                if options["keep"] is not None:
                    self._keep(root, options["keep"])
        except PROBLEMS as error:
            raise CommandError(f"backup: {error}") from error

    def _take(self, root: Path, *, reread: bool) -> None:
        backup = take.take(root, stages=stages.by_service(), tell=self._write_line, reread=reread)
        self._write_line(f"backup {backup.manifest.id}: {backup.manifest.bytes} bytes in {backup.folder}")
        self._write_line("Secrets are not in it. Keep these beside it, and encrypt both where they lie:")
        for name, words in manifest.KEPT_BESIDE.items():
            self._write_line(f"  {name}: without it {words}")

    def _keep(self, root: Path, count: int) -> None:
        with repository.held(root, writing=True):
            removed = repository.keep(root, count)
        self._write_line(f"removed: {', '.join(removed) or 'none'}")

    def _list(self, root: Path) -> None:
        for backup in repository.whole(root):
            description = backup.manifest
            rows = sum(database.rows for database in description.databases)
            self._write_line(
                f"{description.id}  {description.cut_at:%Y-%m-%d %H:%M:%S %Z}  {len(description.databases)} databases  {rows} rows"
                f"  {description.objects.count} objects  {description.bytes} bytes  pause {description.pause_ms:.1f} ms"
            )
        for folder in repository.unfinished(root):
            self._write_line(f"{folder.name.removeprefix(repository.UNFINISHED)}  unfinished: no backup")

    def _plan(self, root: Path) -> None:
        plan = take.plan(root)
        self._write_line(f"to {root}, where {plan.free_bytes} bytes are free")
        for alias, size in plan.database_bytes.items():
            primary_of = ", ".join(service for service, primary in plan.primaries.items() if primary == alias)
            self._write_line(f"  {alias}: {size} bytes on disk; primary of: {primary_of or 'none'}")
        self._write_line(
            f"  objects: {plan.objects} of {plan.object_bytes} bytes, {plan.to_copy} not in an earlier backup"
        )
        self._write_line("  1. lock: every table of commands, asked for at most 50 ms at a time; reads go on")
        self._write_line("  2. instant: a snapshot of every database; unlock")
        self._write_line("  3. copy: pg_dump of every database at its snapshot; then the objects that rows name")
        self._write_line("  4. manifest: only now it is a backup")
        self._write_line("  if a command runs longer than 50 ms: unlocked, and tried again, for two minutes")
        self._write_line("  if a table is dropped or changed meanwhile: it waits, or fails, until the copy is done")

    def _write_line(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()

"""`manage.py backup`: every database and every object at one instant, while people work; which there are, and which may go."""

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
    """A backup that was interrupted is none; the next one takes over what it has copied."""

    help = "Back up every database and every object that rows name, at one instant, while people work."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and what else."""
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
        """Do it. Raises: CommandError."""
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
        kept = take.take(root, stages=stages.by_service(), tell=self._tell, reread=reread)
        self._tell(f"backup {kept.manifest.id}: {kept.manifest.bytes} bytes in {kept.folder}")
        self._tell("Secrets are not in it. Keep these beside it, and encrypt both where they lie:")
        for name, words in manifest.KEPT_BESIDE.items():
            self._tell(f"  {name}: without it {words}")

    def _keep(self, root: Path, count: int) -> None:
        with repository.held(root, writing=True):
            removed = repository.keep(root, count)
        self._tell(f"removed: {', '.join(removed) or 'none'}")

    def _list(self, root: Path) -> None:
        for kept in repository.whole(root):
            made = kept.manifest
            rows = sum(database.rows for database in made.databases)
            self._tell(
                f"{made.id}  {made.cut_at:%Y-%m-%d %H:%M:%S %Z}  {len(made.databases)} databases  {rows} rows"
                f"  {made.objects.count} objects  {made.bytes} bytes  pause {made.pause_ms:.1f} ms"
            )
        for folder in repository.unfinished(root):
            self._tell(f"{folder.name.removeprefix(repository.UNFINISHED)}  unfinished: no backup")

    def _plan(self, root: Path) -> None:
        found = take.plan(root)
        self._tell(f"to {root}, where {found.free_bytes} bytes are free")
        for alias, size in found.database_bytes.items():
            primary_of = ", ".join(service for service, primary in found.primaries.items() if primary == alias)
            self._tell(f"  {alias}: {size} bytes on disk; primary of: {primary_of or 'none'}")
        self._tell(
            f"  objects: {found.objects} of {found.object_bytes} bytes, {found.to_copy} not in an earlier backup"
        )
        self._tell("  1. lock: every table of commands, asked for at most 50 ms at a time; reads go on")
        self._tell("  2. instant: a snapshot of every database; unlock")
        self._tell("  3. copy: pg_dump of every database at its snapshot; then the objects that rows name")
        self._tell("  4. manifest: only now it is a backup")
        self._tell("  if a command runs longer than 50 ms: unlocked, and tried again, for two minutes")
        self._tell("  if a table is dropped or changed meanwhile: it waits, or fails, until the copy is done")

    def _tell(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()

"""backup_verified: the newest backup was restored into scratch databases and compared, row by row, and is not older than a day."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.utils import timezone

from apps.backups import repository, restore, targets, verify
from apps.backups.manifest import Manifest, NoBackup
from apps.core.postgres.connections import NoWay
from apps.core.postgres.pg_dump import BackupFailed
from apps.extraction.decommission.findings import Finding, fails, holds

LIMIT = timedelta(hours=24)


def backup_verified(service: str) -> Finding:
    """Restore the newest backup, compare it, and drop it again."""
    root = Path(settings.BACKUP_ROOT)
    try:
        with repository.held(root, writing=False):
            return _verified(service, repository.newest(root))
    except (
        NoBackup,
        BackupFailed,
        NoWay,
        verify.NotTheSame,
        targets.NoTarget,
        repository.Busy,
        psycopg.Error,
    ) as error:
        return fails(f"{error}".strip())


def _verified(service: str, kept: repository.Backup) -> Finding:
    made = kept.manifest
    seen: dict[str, Any] = {"backup": made.id, "cut_at": made.cut_at.isoformat(), "homes": made.primaries}
    if timezone.now() - made.cut_at > LIMIT:
        return fails(f"the newest backup, {made.id}, is older than a day: manage.py backup", **seen)
    if missing := _missing(service, made):
        return fails(f"{made.id} does not hold {missing}", **seen)
    count = restore.check_files(kept)
    with targets.scratch([database.alias for database in made.databases]) as target:
        restore.require_target(kept, target, replace=False)
        done = restore.restore(kept, target)
    seen |= {
        "objects": count,
        "databases": [one._asdict() for one in done.compared],
        "files": {database.file: database.sha256 for database in made.databases},
    }
    rows = sum(one.rows for one in done.compared)
    words = f"{made.id} was restored: {rows} rows and {count} objects are the same"
    return holds(words, valid_until=made.cut_at + LIMIT, **seen)


def _missing(service: str, made: Manifest) -> str:
    """What of this service is not in the backup: its table of commands, in the database that was its primary."""
    primary = made.primaries.get(service)
    database = next((one for one in made.databases if one.alias == primary), None)
    return "" if database and f"{service}_command" in database.tables else f"the tables of {service}"

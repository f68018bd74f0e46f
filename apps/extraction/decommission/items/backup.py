"""backup_verified: the newest backup is at most a day old, and was restored on scratch and compared by row."""

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
    """Restore the newest backup, compare it, and drop the restored databases."""
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


def _verified(service: str, newest: repository.Backup) -> Finding:
    manifest = newest.manifest
    evidence: dict[str, Any] = {
        "backup": manifest.id,
        "cut_at": manifest.cut_at.isoformat(),
        "homes": manifest.primaries,
    }
    if timezone.now() - manifest.cut_at > LIMIT:
        return fails(f"the newest backup, {manifest.id}, is older than a day: manage.py backup", **evidence)
    if missing := _missing(service, manifest):
        return fails(f"{manifest.id} does not hold {missing}", **evidence)
    count = restore.check_files(newest)
    with targets.scratch([database.alias for database in manifest.databases]) as target:
        restore.require_target(newest, target, replace=False)
        restored = restore.restore(newest, target)
    evidence |= {
        "objects": count,
        "databases": [database._asdict() for database in restored.compared],
        "files": {database.file: database.sha256 for database in manifest.databases},
    }
    rows = sum(database.rows for database in restored.compared)
    words = f"{manifest.id} was restored: {rows} rows and {count} objects are the same"
    return holds(words, valid_until=manifest.cut_at + LIMIT, **evidence)


def _missing(service: str, manifest: Manifest) -> str:
    """What of the service the backup lacks: its table of commands, in the database that was its primary.

    Empty if nothing.
    """
    primary = manifest.primaries.get(service)
    database = next((candidate for candidate in manifest.databases if candidate.alias == primary), None)
    return "" if database and f"{service}_command" in database.tables else f"the tables of {service}"

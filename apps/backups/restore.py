"""Restores a backup: checks all files before any change, and grants rights only after all data are restored and
compared.

A restore that fails leaves databases that only their owner may use: no service has a primary, and none has two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from apps.backups import grants, objects, targets, verify
from apps.backups.manifest import Database, Fence, Manifest, NoBackup, digest_of
from apps.backups.repository import Backup
from apps.backups.targets import QUIET, NoTarget, Target
from apps.backups.verify import Compared
from apps.core import topology
from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, database_roles, pg_dump
from apps.core.postgres.migrate_service import OWNER

Tell = Callable[[str], None]
JOBS = 2
HAS_TABLES = "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LIMIT 1"
# Everything that does not belong to an extension, ordered so that a column's sequence is dropped with its table.
OF_EXTENSION = "SELECT 1 FROM pg_depend d WHERE d.classid = '{of}'::regclass AND d.objid = o.oid AND d.deptype = 'e'"
RELATIONS = (
    "SELECT format('DROP {kind} IF EXISTS public.%I CASCADE', relname) FROM pg_class o"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ({codes})"
)
ROUTINES = (
    "SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc o"
    " WHERE pronamespace = 'public'::regnamespace"
)
TYPES = (
    "SELECT format('DROP TYPE IF EXISTS public.%I CASCADE', typname) FROM pg_type o"
    " WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')"
)
DROPS = tuple(
    f"{query} AND NOT EXISTS ({OF_EXTENSION.format(of=catalogue)})"
    for catalogue, query in (
        *(
            ("pg_class", RELATIONS.format(kind=kind, codes=codes))
            for kind, codes in (
                *(("VIEW", "'v'"), ("MATERIALIZED VIEW", "'m'")),
                *(("TABLE", "'r', 'p'"), ("SEQUENCE", "'S'")),
            )
        ),
        ("pg_proc", ROUTINES),
        ("pg_type", TYPES),
    )
)


class Restored(NamedTuple):
    """The compared databases, the numbers of objects and of those put, and the number of migrations to apply."""

    compared: tuple[Compared, ...]
    objects: int
    objects_put: int
    migrations_behind: int


def check_files(backup: Backup) -> int:
    """Read every byte of a backup; returns the number of objects. Raises: NoBackup naming a missing or damaged file."""
    for database in backup.manifest.databases:
        _require_digest(backup.folder / database.file, database.sha256)
    _require_digest(backup.folder / backup.manifest.objects.file, backup.manifest.objects.sha256)
    count = objects.check(backup.folder)
    if count != backup.manifest.objects.count:
        raise NoBackup(f"{backup.folder}: {count} objects, {backup.manifest.objects.count} by the manifest")
    return count


def require_target(backup: Backup, target: Target, *, replace: bool, word: str = "") -> None:
    """Refuse a target that cannot take the backup or is not empty.

    Raises: NoTarget, NoBackup, psycopg.OperationalError.
    """
    manifest = backup.manifest
    if unknown := sorted(set(manifest.migrations) - _known_migrations()):
        raise NoBackup(f"{manifest.id} was made by a newer version: this one does not know {', '.join(unknown[:5])}")
    if missing := [database.alias for database in manifest.databases if database.alias not in target.urls]:
        raise NoTarget(f"no address of {', '.join(missing)} is known")
    _refuse_half_of_this(target)
    full = []
    for alias in target.urls:
        with target.reach(alias) as connection:
            if connection.execute(HAS_TABLES).fetchone():
                full.append(alias)
            for database in manifest.databases:
                if database.alias == alias:
                    _require_server(database, connection)
    if target.bucket is not None and not all(bucket.is_empty() for bucket in objects.buckets(target.bucket)):
        full.append("the bucket")
    if full and not replace:
        raise NoTarget(f"not empty: {', '.join(full)}. To replace what is there: --replace --confirm {target.word}")
    if full and word != target.word:
        raise NoTarget(f"what is there will be lost: say --confirm {target.word}")


def _refuse_half_of_this(target: Target) -> None:
    """Refuse a part of this environment: the rest keeps its rights, which gives two primaries. Raises: NoTarget."""
    in_use = targets.this_environment().urls if settings.CONTROL_URLS else {}
    addresses = {_address(url) for url in target.urls.values()}
    untouched = sorted(alias for alias, url in in_use.items() if _address(url) not in addresses)
    if untouched and len(untouched) < len(in_use):
        raise NoTarget(
            f"a part of this environment cannot be restored alone: {', '.join(untouched)} would stay as they are"
        )


def _address(url: str) -> tuple[str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port, parts.path


def restore(backup: Backup, target: Target, *, tell: Tell = lambda _: None) -> Restored:
    """Restore everything, compare it, and grant the rights. Called after `check_files` and `require_target`.

    Raises: BackupFailed, NoBackup, NotTheSame, NoTarget, psycopg.Error; the databases then stay closed.
    """
    manifest = backup.manifest
    for alias in target.urls:
        _make_shape(backup, target, alias)
    with ThreadPoolExecutor(len(manifest.databases) + 1, thread_name_prefix="restore") as workers:
        putting = workers.submit(_put_objects, backup, target)
        list(workers.map(lambda database: _fill(database, backup.folder, target, tell), manifest.databases))
        put = putting.result()
    tell(f"objects: {manifest.objects.count} named, {put} put back")
    compared = verify.contents(manifest, target)
    for same in compared:
        tell(f"{same.alias}: {same.tables} tables and {same.rows} rows are the same, sum of hashes {same.sum}")
    _give_rights(manifest, target)
    verify.rights_and_primaries(manifest, target)
    for alias in target.urls:  # a backup of a version without them
        with target.reach(alias) as connection:
            database_roles.grant(connection, topology.entries() if alias == SHARED else [alias])
    located = ", ".join(f"{service} in {primary}" for service, primary in manifest.primaries.items())
    tell(f"rights are as they were, primaries: {located}")
    behind = len(_known_migrations() - set(manifest.migrations))
    return Restored(compared, manifest.objects.count, put, behind)


def _make_shape(backup: Backup, target: Target, alias: str) -> None:
    """Drop the present tables and create the backup's in one transaction, without rights for any role but the owner."""
    database = next((candidate for candidate in backup.manifest.databases if candidate.alias == alias), None)
    shape = pg_dump.shape_of(backup.folder / database.file) if database else ""
    with target.reach(alias, options=QUIET) as connection:
        targets.stop_following(target, alias, connection)
        with connection.transaction():
            grants.revoke_all(connection)
            _drop_all(connection)
            if shape:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
                connection.execute(shape.encode())  # pg_restore's own statements
                connection.execute("RESET search_path")
                connection.execute("RESET ROLE")
                grants.revoke_all(connection)


def _drop_all(connection: connections.Connection) -> None:
    for query in DROPS:
        for (statement,) in connection.execute(query).fetchall():
            connection.execute(str(statement).encode())


def _fill(database: Database, folder: Path, target: Target, tell: Tell) -> None:
    for section in ("data", "post-data"):
        pg_dump.restore_section(target.urls[database.alias], folder / database.file, section, jobs=JOBS, role=OWNER)
    with target.reach(database.alias, options=QUIET) as connection:
        connection.execute("ANALYZE")
    tell(f"{database.alias}: restored")


def _put_objects(backup: Backup, target: Target) -> int:
    return 0 if target.bucket is None else objects.put_back(backup.folder, target.bucket)


def _give_rights(manifest: Manifest, target: Target) -> None:
    """Raise the fences in all databases first, so that no earlier controller can act; then grant the rights."""
    every = {fence.service: fence for database in manifest.databases for fence in database.fences}
    with contextlib.ExitStack() as stack:
        sessions = {alias: stack.enter_context(target.reach(alias)) for alias in target.urls}
        highest = {
            service: max(fence.epoch, *(_epoch(connection, service) for connection in sessions.values()))
            for service, fence in every.items()
        }
        for database in manifest.databases:
            own = {fence.service: fence for fence in database.fences}
            grants.raise_fences(
                sessions[database.alias],
                (Fence(name, highest[name], own[name].closed if name in own else 0) for name in every),
            )
        for alias in target.urls.keys() - {database.alias for database in manifest.databases}:
            grants.raise_fences(sessions[alias], (Fence(name, epoch, 0) for name, epoch in highest.items()))
        for database in manifest.databases:
            with sessions[database.alias].transaction():
                grants.replace_future_grants(sessions[database.alias], database.future_grants)
                grants.grant_all(sessions[database.alias], database.grants)


def _epoch(connection: connections.Connection, service: str) -> int:
    row = connection.execute("SELECT epoch FROM extraction.fence WHERE service = %s", [service]).fetchone()
    return int(row[0]) if row else 0


def _require_server(database: Database, connection: connections.Connection) -> None:
    saved_version, server_version = database.server_version // 10_000, connection.info.server_version // 10_000
    if server_version < saved_version:
        raise NoTarget(f"{database.alias} is of PostgreSQL {saved_version}, and the server is {server_version}")
    if missing := grants.missing_roles(connection, (*database.grants, *database.future_grants)):
        raise NoTarget(f"{database.alias}: the server does not know the roles {', '.join(missing)}")
    if not connection.execute("SELECT to_regclass('extraction.fence') IS NOT NULL").fetchone() == (True,):
        raise NoTarget(f"{database.alias}: run migrations_playbook/sql/home.sql there first")


def _known_migrations() -> set[str]:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return {f"{app}.{name}" for app, name in loader.disk_migrations or ()}


def _require_digest(file: Path, sha256: str) -> None:
    try:
        digest = digest_of(file)
    except OSError as error:
        raise NoBackup(f"{file} cannot be read: {error.strerror}") from error
    if digest != sha256:
        raise NoBackup(f"{file} is damaged or truncated: its SHA-256 is not the manifest's")

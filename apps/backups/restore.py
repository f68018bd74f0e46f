"""Restoring a backup: everything is checked before anything is touched, and rights are given when everything is there and the same.

A restore that dies leaves databases that nobody but their owner may use: no service has a primary, and none has two.
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

from apps.backups import grants, manifest, objects, targets, verify
from apps.backups.manifest import Database, Manifest, NoBackup
from apps.backups.repository import Backup
from apps.backups.targets import QUIET, NoTarget, Target
from apps.backups.verify import Compared
from apps.core.postgres import connections, pg_dump
from apps.core.postgres.migrate_service import OWNER

Tell = Callable[[str], None]
JOBS = 2
HAS_TABLES = "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LIMIT 1"
# Everything that is not an extension's, in an order in which a sequence that belongs to a column goes with its table.
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
    """What was compared, how many objects were put, and which migrations are still to be applied."""

    compared: tuple[Compared, ...]
    objects: int
    objects_put: int
    migrations_behind: int


def check_files(kept: Backup) -> int:
    """Read every byte of a backup; how many objects there are. Raises: NoBackup naming what is missing or damaged."""
    for database in kept.manifest.databases:
        _same(kept.folder / database.file, database.sha256)
    _same(kept.folder / kept.manifest.objects.file, kept.manifest.objects.sha256)
    found = objects.check(kept.folder)
    if found != kept.manifest.objects.count:
        raise NoBackup(f"{kept.folder}: {found} objects, {kept.manifest.objects.count} by the manifest")
    return found


def require_target(kept: Backup, target: Target, *, replace: bool, word: str = "") -> None:
    """Refuse what cannot be restored there, or would take something away. Raises: NoTarget, NoBackup, psycopg.OperationalError."""
    made = kept.manifest
    if unknown := sorted(set(made.migrations) - _known_migrations()):
        raise NoBackup(f"{made.id} was made by a newer version: this one does not know {', '.join(unknown[:5])}")
    if missing := [database.alias for database in made.databases if database.alias not in target.urls]:
        raise NoTarget(f"no address of {', '.join(missing)} is known")
    _refuse_half_of_this(target)
    full = []
    for alias in target.urls:
        with target.reach(alias) as connection:
            if connection.execute(HAS_TABLES).fetchone():
                full.append(alias)
            for database in made.databases:
                if database.alias == alias:
                    _require_server(database, connection)
    if target.bucket is not None and not all(bucket.is_empty() for bucket in objects.buckets(target.bucket)):
        full.append("the bucket")
    if full and not replace:
        raise NoTarget(f"not empty: {', '.join(full)}. To replace what is there: --replace --confirm {target.word}")
    if full and word != target.word:
        raise NoTarget(f"what is there will be lost: say --confirm {target.word}")


def _refuse_half_of_this(target: Target) -> None:
    """What is not restored keeps its rights: a part of the running environment would leave two primaries. Raises: NoTarget."""
    ours = targets.this_environment().urls if settings.CONTROL_URLS else {}
    theirs = {_address(url) for url in target.urls.values()}
    left = sorted(alias for alias, url in ours.items() if _address(url) not in theirs)
    if left and len(left) < len(ours):
        raise NoTarget(f"a part of this environment cannot be restored alone: {', '.join(left)} would stay as they are")


def _address(url: str) -> tuple[str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port, parts.path


def restore(kept: Backup, target: Target, *, tell: Tell = lambda _: None) -> Restored:
    """Bring everything back, compare it, and give the rights. After `check_files` and `require_target`.

    Raises: BackupFailed, NoBackup, NotTheSame, NoTarget, psycopg.Error; the databases then stay closed.
    """
    made = kept.manifest
    for alias in target.urls:
        _make_shape(kept, target, alias)
    with ThreadPoolExecutor(len(made.databases) + 1, thread_name_prefix="restore") as workers:
        putting = workers.submit(_put_objects, kept, target)
        list(workers.map(lambda database: _fill(database, kept.folder, target, tell), made.databases))
        put = putting.result()
    tell(f"objects: {made.objects.count} named, {put} put back")
    compared = verify.contents(made, target)
    for one in compared:
        tell(f"{one.alias}: {one.tables} tables and {one.rows} rows are the same, sum of hashes {one.sum}")
    _give_rights(made, target)
    verify.rights_and_primaries(made, target)
    tell(
        f"rights are as they were, primaries: {', '.join(f'{service} in {primary}' for service, primary in made.primaries.items())}"
    )
    behind = len(_known_migrations() - set(made.migrations))
    return Restored(compared, made.objects.count, put, behind)


def _make_shape(kept: Backup, target: Target, alias: str) -> None:
    """In one transaction: take away what is there, make the tables, and let nobody use them."""
    database = next((one for one in kept.manifest.databases if one.alias == alias), None)
    shape = pg_dump.shape_of(kept.folder / database.file) if database else ""
    with target.reach(alias, options=QUIET) as connection:
        targets.stop_following(target, alias, connection)
        with connection.transaction():
            grants.take_all(connection)
            _empty(connection)
            if shape:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
                connection.execute(shape.encode())  # statements of pg_restore's own
                connection.execute("RESET search_path")
                connection.execute("RESET ROLE")
                grants.take_all(connection)


def _empty(connection: connections.Connection) -> None:
    for query in DROPS:
        for (statement,) in connection.execute(query).fetchall():
            connection.execute(str(statement).encode())


def _fill(database: Database, folder: Path, target: Target, tell: Tell) -> None:
    for section in ("data", "post-data"):
        pg_dump.restore_section(target.urls[database.alias], folder / database.file, section, jobs=JOBS, role=OWNER)
    with target.reach(database.alias, options=QUIET) as connection:
        connection.execute("ANALYZE")
    tell(f"{database.alias}: restored")


def _put_objects(kept: Backup, target: Target) -> int:
    return 0 if target.bucket is None else objects.put_back(kept.folder, target.bucket)


def _give_rights(made: Manifest, target: Target) -> None:
    """Everywhere the fences first, so that whoever led a move before can do nothing more; then the rights."""
    every = {fence.service: fence for database in made.databases for fence in database.fences}
    with contextlib.ExitStack() as stack:
        known = {alias: stack.enter_context(target.reach(alias)) for alias in target.urls}
        highest = {
            service: max(fence.epoch, *(_epoch(connection, service) for connection in known.values()))
            for service, fence in every.items()
        }
        for database in made.databases:
            own = {fence.service: fence for fence in database.fences}
            grants.raise_fences(
                known[database.alias],
                (manifest.Fence(name, highest[name], own[name].closed if name in own else 0) for name in every),
            )
        for alias in target.urls.keys() - {database.alias for database in made.databases}:
            grants.raise_fences(known[alias], (manifest.Fence(name, epoch, 0) for name, epoch in highest.items()))
        for database in made.databases:
            with known[database.alias].transaction():
                grants.give_in_future(known[database.alias], database.future_grants)
                grants.give(known[database.alias], database.grants)


def _epoch(connection: connections.Connection, service: str) -> int:
    row = connection.execute("SELECT epoch FROM extraction.fence WHERE service = %s", [service]).fetchone()
    return int(row[0]) if row else 0


def _require_server(database: Database, connection: connections.Connection) -> None:
    theirs, ours = database.server_version // 10_000, connection.info.server_version // 10_000
    if ours < theirs:
        raise NoTarget(f"{database.alias} is of PostgreSQL {theirs}, and the server is {ours}")
    if missing := grants.missing_roles(connection, (*database.grants, *database.future_grants)):
        raise NoTarget(f"{database.alias}: the server does not know the roles {', '.join(missing)}")
    if not connection.execute("SELECT to_regclass('extraction.fence') IS NOT NULL").fetchone() == (True,):
        raise NoTarget(f"{database.alias}: run migrations_playbook/sql/home.sql there first")


def _known_migrations() -> set[str]:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return {f"{app}.{name}" for app, name in loader.disk_migrations or ()}


def _same(file: Path, sha256: str) -> None:
    try:
        found = manifest.digest_of(file)
    except OSError as error:
        raise NoBackup(f"{file} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise NoBackup(f"{file} is damaged or truncated: its SHA-256 is not the manifest's")

"""Compares restored databases with their backup: every table's rows and hashes, the rights, one primary per service."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from apps.backups import grants
from apps.backups.instant import TABLES
from apps.backups.manifest import Database, Manifest
from apps.backups.targets import QUIET, Target
from apps.core import topology
from apps.core.database import primaries
from apps.core.postgres import checksums, fences
from apps.core.postgres.connections import Connection


class NotTheSame(Exception):
    """A restored database differs from its backup; the message says where."""


class Compared(NamedTuple):
    """One database: the numbers of compared tables and rows, and the sum of all their hashes."""

    alias: str
    tables: int
    rows: int
    sum: str


def contents(manifest: Manifest, target: Target) -> tuple[Compared, ...]:
    """Compare every row of every table. Raises: NotTheSame."""
    with ThreadPoolExecutor(len(manifest.databases), thread_name_prefix="compare") as workers:
        return tuple(workers.map(lambda database: _compare(database, target), manifest.databases))


def rights_and_primaries(manifest: Manifest, target: Target) -> None:
    """Compare rights, and check that each service has one writable primary, the former one. Raises: NotTheSame."""
    with ExitStack() as stack:
        sessions = {alias: stack.enter_context(target.reach(alias)) for alias in target.urls}
        for database in manifest.databases:
            actual, recorded = Counter(grants.grants(sessions[database.alias])), Counter(database.grants)
            if actual != recorded:
                differing = sorted(
                    f"{grant.role} {grant.right} {grant.name}" for grant in (actual - recorded) + (recorded - actual)
                )
                raise NotTheSame(f"{database.alias}: rights differ: {', '.join(differing[:5])}")
        for service in topology.entries():
            _one_primary(service, manifest.primaries[service], sessions)


def _one_primary(service: str, primary: str, sessions: dict[str, Connection]) -> None:
    writable = [alias for alias, connection in sessions.items() if fences.is_writable(connection, service)]
    # Where no service is relocatable, the platform's roles may have other names, and the grants show nothing.
    if len(writable) > 1 or (primaries.is_movable(service) and writable != [primary]):
        raise NotTheSame(
            f"{service} is writable in {', '.join(writable) or 'no database'}, and had its primary in {primary}"
        )


def _compare(database: Database, target: Target) -> Compared:
    with target.reach(database.alias, options=QUIET) as connection:
        tables = {str(name) for (name,) in connection.execute(TABLES).fetchall()}
        if tables != set(database.tables):
            raise NotTheSame(f"{database.alias}: other tables: {', '.join(sorted(tables ^ set(database.tables)))}")
        actual = checksums.contents(connection, sorted(database.tables))
    for name, wanted in database.tables.items():
        if (actual[name].rows, actual[name].sum) != (wanted.rows, wanted.sum):
            raise NotTheSame(
                f"{database.alias}: {name} has {actual[name].rows} rows, {wanted.rows} in the backup, or not the same"
            )
    total = sum(int(table.sum) for table in actual.values())
    return Compared(database.alias, len(actual), database.rows, str(total))

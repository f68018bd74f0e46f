"""Whether what was restored is what was backed up: every table's rows and hashes, the rights, one primary for each service."""

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
    """What was restored differs from its backup; the message says where."""


class Compared(NamedTuple):
    """One database: tables and rows that were compared, and a sum over all of their hashes."""

    alias: str
    tables: int
    rows: int
    sum: str


def contents(made: Manifest, target: Target) -> tuple[Compared, ...]:
    """Compare every row of every table. Raises: NotTheSame."""
    with ThreadPoolExecutor(len(made.databases), thread_name_prefix="compare") as workers:
        return tuple(workers.map(lambda database: _one(database, target), made.databases))


def rights_and_primaries(made: Manifest, target: Target) -> None:
    """Compare rights, and see that each service has one writable primary, where it was. Raises: NotTheSame."""
    with ExitStack() as stack:
        known = {alias: stack.enter_context(target.reach(alias)) for alias in target.urls}
        for database in made.databases:
            found, wanted = Counter(grants.grants(known[database.alias])), Counter(database.grants)
            if found != wanted:
                differing = sorted(f"{one.role} {one.right} {one.name}" for one in (found - wanted) + (wanted - found))
                raise NotTheSame(f"{database.alias}: rights differ: {', '.join(differing[:5])}")
        for service in topology.entries():
            _one_primary(service, made.primaries[service], known)


def _one_primary(service: str, primary: str, known: dict[str, Connection]) -> None:
    writable = [alias for alias, connection in known.items() if fences.is_writable(connection, service)]
    # Where nothing can move, the platform's roles may have names of their own, and nothing is to be seen here.
    if len(writable) > 1 or (primaries.is_movable(service) and writable != [primary]):
        raise NotTheSame(
            f"{service} is writable in {', '.join(writable) or 'no database'}, and had its primary in {primary}"
        )


def _one(database: Database, target: Target) -> Compared:
    with target.reach(database.alias, options=QUIET) as connection:
        there = {str(name) for (name,) in connection.execute(TABLES).fetchall()}
        if there != set(database.tables):
            raise NotTheSame(f"{database.alias}: other tables: {', '.join(sorted(there ^ set(database.tables)))}")
        found = checksums.contents(connection, sorted(database.tables))
    for name, wanted in database.tables.items():
        if (found[name].rows, found[name].sum) != (wanted.rows, wanted.sum):
            raise NotTheSame(
                f"{database.alias}: {name} has {found[name].rows} rows, {wanted.rows} in the backup, or not the same"
            )
    total = sum(int(table.sum) for table in found.values())
    return Compared(database.alias, len(found), database.rows, str(total))

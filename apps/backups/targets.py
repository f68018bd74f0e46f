"""The target of a restore: the databases of this environment, others given by URL, or temporary scratch databases."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from psycopg import sql

from apps.core import topology
from apps.core.database import primaries
from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, replication
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import OWNER

PRIMARY_SQL = "migrations_playbook/sql/home.sql"
PREFIX = "lc_restore_"
OLD_SECONDS = 6 * 3600
QUIET = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c transaction_timeout=0 -c lock_timeout=10000"
SLOTS = (
    "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
    " AND slot_type = 'logical' AND slot_name LIKE 'lc\\_%'"
)
SUBSCRIPTIONS = "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"


class NoTarget(Exception):
    """The target cannot take the backup; the message says why, and nothing was changed."""


class Target(NamedTuple):
    """The control role's URLs by alias, and the bucket: empty for that of the settings, None to restore no objects."""

    urls: dict[str, str]
    bucket: str | None
    is_this: bool = False

    def reach(self, alias: str, *, options: str = connections.TIMEOUTS) -> connections.Connection:
        """Connect as the control role. Raises: psycopg.OperationalError."""
        return connections.reach(self.urls[alias], options=options)

    @property
    def word(self) -> str:
        """The word that confirms a replacement: the name of the shared database."""
        return urlsplit(self.urls[SHARED]).path.lstrip("/")


def this_environment(bucket: str = "") -> Target:
    """The databases that this process is configured with. Raises: NoWay."""
    aliases = [SHARED, *(service for service in topology.entries() if primaries.is_movable(service))]
    return Target({alias: connections.control_url(alias) for alias in aliases}, bucket, is_this=True)


@contextlib.contextmanager
def scratch(aliases: Sequence[str]) -> Iterator[Target]:
    """Temporary databases on the servers of the real ones. Without a bucket: objects are only read in the backup."""
    mark = f"{int(time.time())}_{secrets.token_hex(4)}"
    urls: dict[str, str] = {}
    for alias in aliases:
        with connections.control(alias) as connection:
            for name in _abandoned(connection):
                _drop(connection, name)
    try:
        for alias in aliases:
            name = f"{PREFIX}{alias}_{mark}"
            with connections.control(alias, options="") as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            urls[alias] = urlunsplit(urlsplit(connections.control_url(alias))._replace(path=f"/{name}"))
            with connections.reach(urls[alias]) as inside:
                inside.execute((settings.BASE_DIR / PRIMARY_SQL).read_text())
                inside.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        yield Target(urls, None)
    finally:
        for alias, url in urls.items():
            with connections.control(alias, options="") as connection:
                _drop(connection, urlsplit(url).path.lstrip("/"))


def stop_following(target: Target, alias: str, connection: Connection) -> None:
    """End all replication to and from this database. Raises: NoTarget for a slot that cannot be dropped from here."""
    for (name,) in connection.execute(SUBSCRIPTIONS).fetchall():
        replication.unsubscribe(connection, str(name))
    slots = [str(name) for (name,) in connection.execute(SLOTS).fetchall()]
    if slots and not target.is_this:
        raise NoTarget(f"{alias} has the slots {', '.join(slots)}: drop them first")
    for name in slots:
        with connections.replicator(alias) as replicating:
            replication.drop_slot(replicating, name)
    for (name,) in connection.execute("SELECT pubname FROM pg_publication WHERE pubname LIKE 'lc\\_%'").fetchall():
        replication.unpublish(connection, str(name))
    replication.forget_markers(connection)


def _abandoned(connection: Connection) -> list[str]:
    """The scratch databases of killed restores: old by their names, and without connections."""
    rows = connection.execute(
        "SELECT datname FROM pg_database d WHERE datname ~ %s AND NOT EXISTS ("
        "SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname AND a.backend_type = 'client backend')",
        [f"^{PREFIX}[a-z]+_[0-9]+_[0-9a-f]+$"],
    ).fetchall()
    old = time.time() - OLD_SECONDS
    return [str(name) for (name,) in rows if int(str(name).split("_")[-2]) < old]


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

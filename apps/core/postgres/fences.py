"""The fence of a service in one database: an epoch that every controller must name, and whether DDL is refused.

`migrations_playbook/sql/home.sql` creates the table, with the triggers that refuse DDL while a service is being
relocated.
"""

from __future__ import annotations

from apps.core.postgres import database_roles
from apps.core.postgres.connections import Connection
from apps.core.postgres.replication import pattern_of

WRITABLE = """
SELECT coalesce(bool_or(has_table_privilege(rolname, to_regclass(%(table)s)::oid, 'INSERT')), false)
FROM pg_roles WHERE rolname = ANY(%(roles)s) AND to_regclass(%(table)s) IS NOT NULL
"""


def set_moving(connection: Connection, service: str, *, moving: bool) -> None:
    """Refuse DDL on the service's tables in this database from now on, or allow it again."""
    connection.execute(
        "INSERT INTO extraction.fence (service, moving, tables, oids) SELECT %(s)s, %(m)s, %(p)s, array("
        "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname ~ %(p)s)"
        " ON CONFLICT (service) DO UPDATE SET moving = excluded.moving, tables = excluded.tables, oids = excluded.oids",
        {"s": service, "m": moving, "p": pattern_of(service)},
    )


def epoch(connection: Connection, service: str) -> int:
    """The present epoch in this database."""
    row = connection.execute("SELECT epoch FROM extraction.fence WHERE service = %s", [service]).fetchone()
    return int(row[0]) if row else 0


def allocate(shared: Connection, service: str, at_least: int) -> int:
    """A new epoch above `at_least`, unique because one statement in the shared database counts all epochs."""
    row = shared.execute(
        "INSERT INTO extraction.fence (service, epoch) VALUES (%(s)s, %(e)s + 1)"
        " ON CONFLICT (service) DO UPDATE SET epoch = greatest(extraction.fence.epoch, %(e)s) + 1 RETURNING epoch",
        {"s": service, "e": at_least},
    ).fetchone()
    return int(row[0]) if row else 0


def raise_epoch(connection: Connection, service: str, value: int) -> None:
    """Refuse every controller with an older epoch in this database. The epoch never goes back."""
    connection.execute(
        "INSERT INTO extraction.fence (service, epoch) VALUES (%s, %s)"
        " ON CONFLICT (service) DO UPDATE SET epoch = greatest(extraction.fence.epoch, excluded.epoch)",
        [service, value],
    )


def is_writable(connection: Connection, service: str) -> bool:
    """Whether a database lets the platform write a service's data."""
    parameters = {"table": f"public.{service}_command", "roles": database_roles.of(service)}
    row = connection.execute(WRITABLE, parameters).fetchone()
    return bool(row and row[0])


def hold_closed(connection: Connection, service: str) -> bool:
    """Lock the fence inside a transaction: whether this database is, and until the commit stays, closed to writes."""
    set_up(connection, service)
    connection.execute("SELECT 1 FROM extraction.fence WHERE service = %s FOR UPDATE", [service])
    return not is_writable(connection, service)


def begin_to_fill(connection: Connection, service: str, by: str) -> None:
    """Inside a transaction that holds the fence, record that this synchronisation has begun to fill the database."""
    connection.execute("UPDATE extraction.fence SET filling = %s, filled = '' WHERE service = %s", [by, service])


def is_filling(connection: Connection, service: str, by: str) -> bool:
    """Whether this synchronisation still fills the database, and no later one has replaced it."""
    row = connection.execute("SELECT filling FROM extraction.fence WHERE service = %s", [service]).fetchone()
    return bool(row and row[0] == by)


def filled(connection: Connection, service: str, by: str) -> bool:
    """Record that every row is present and followed. False when another synchronisation has begun to fill meanwhile."""
    updated = connection.execute(
        "UPDATE extraction.fence SET filled = filling WHERE service = %(s)s AND filling = %(by)s",
        {"s": service, "by": by},
    )
    return updated.rowcount == 1


def set_up(connection: Connection, service: str) -> None:
    """Create the service's row, if it is missing."""
    connection.execute("INSERT INTO extraction.fence (service) VALUES (%s) ON CONFLICT DO NOTHING", [service])


def is_installed(connection: Connection) -> bool:
    """Whether this database has the triggers that refuse DDL while a service is being relocated."""
    row = connection.execute(
        "SELECT count(*) FROM pg_event_trigger WHERE evtname IN ('extraction_refuse_ddl', 'extraction_refuse_drop')"
        " AND evtenabled <> 'D'"
    ).fetchone()
    return bool(row and row[0] == 2)

"""Who may do what in a database, and its fences: what a dump leaves out here, because a restore gives rights last of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from psycopg import sql

from apps.backups.manifest import Fence, Grant
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import OWNER

KINDS = {"r": "TABLE", "p": "TABLE", "v": "TABLE", "m": "TABLE", "S": "SEQUENCE"}
GRANTS = """
SELECT c.relkind::text, c.relname, coalesce(r.rolname, 'public'), a.privilege_type
FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND a.grantee <> c.relowner
ORDER BY c.relname, 3, 4
"""
# What the schema adds for tables that are made later; what holds in the whole database belongs to its making (home.sql).
FUTURE = """
SELECT d.defaclobjtype::text, coalesce(r.rolname, 'public'), a.privilege_type
FROM pg_default_acl d, aclexplode(d.defaclacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclnamespace = 'public'::regnamespace AND d.defaclobjtype IN ('r', 'S') AND d.defaclrole = %s::regrole
ORDER BY 1, 2, 3
"""
FENCES = "SELECT service, epoch, closed FROM extraction.fence ORDER BY service"
# It goes on counting above whatever was known before, in the backup or here: nobody who led before can do anything more.
RAISE = """
INSERT INTO extraction.fence (service, epoch, closed) VALUES (%(s)s, %(e)s + 1, %(c)s)
ON CONFLICT (service) DO UPDATE SET epoch = greatest(extraction.fence.epoch, %(e)s) + 1, closed = %(c)s, closed_at = NULL,
    moving = false, filling = '', filled = '', tables = '', oids = '{}'
"""


def grants(connection: Connection) -> tuple[Grant, ...]:
    """Every right that is not the owner's."""
    rows = connection.execute(GRANTS).fetchall()
    return tuple(Grant(KINDS[kind], name, role, right) for kind, name, role, right in rows)


def future_grants(connection: Connection) -> tuple[Grant, ...]:
    """Every right on tables and sequences that the owner will make in the schema."""
    rows = connection.execute(FUTURE, [OWNER]).fetchall()
    return tuple(Grant(f"{KINDS[kind]}S", "", role, right) for kind, role, right in rows)


def fences(connection: Connection) -> tuple[Fence, ...]:
    """Every fence."""
    return tuple(Fence(*row) for row in connection.execute(FENCES).fetchall())


def take_all(connection: Connection) -> None:
    """Nobody but the owner may do anything, whatever was given when the tables were made."""
    for grant in {(one.kind, one.name, one.role) for one in grants(connection)}:
        kind, name, role = grant
        connection.execute(
            sql.SQL("REVOKE ALL ON {} {} FROM {}").format(sql.SQL(kind), sql.Identifier("public", name), _role(role))
        )


def give(connection: Connection, given: Iterable[Grant]) -> None:
    """Give rights back as they were."""
    together: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in given:
        together[one.kind, one.name, one.role].append(one.right)
    for (kind, name, role), found in together.items():
        connection.execute(
            sql.SQL("GRANT {} ON {} {} TO {}").format(
                _listed(found), sql.SQL(kind), sql.Identifier("public", name), _role(role)
            )
        )


def give_in_future(connection: Connection, given: Iterable[Grant]) -> None:
    """The schema adds for later tables what it added before, and nothing else."""
    change = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public ").format(sql.Identifier(OWNER))
    for one in future_grants(connection):
        connection.execute(
            change + sql.SQL("REVOKE {} ON {} FROM {}").format(_listed([one.right]), sql.SQL(one.kind), _role(one.role))
        )
    for one in given:
        connection.execute(
            change + sql.SQL("GRANT {} ON {} TO {}").format(_listed([one.right]), sql.SQL(one.kind), _role(one.role))
        )


def raise_fences(connection: Connection, found: Iterable[Fence]) -> None:
    """The fences as they were, under epochs that nobody has had; nothing is being moved any more."""
    for one in found:
        connection.execute(RAISE, {"s": one.service, "e": one.epoch, "c": one.closed})


def missing_roles(connection: Connection, given: Iterable[Grant]) -> list[str]:
    """Roles that have rights in the backup and are not known to this server."""
    wanted = sorted({OWNER, *(one.role for one in given)} - {"public"})
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [wanted]).fetchall()
    return sorted(set(wanted) - {str(name) for (name,) in rows})


def _role(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == "public" else sql.Identifier(name)


def _listed(found: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(right) for right in found)

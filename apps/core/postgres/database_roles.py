"""The database roles that serve requests: the platform's, and one for each service, with rights on its own tables only.

A lifted-out service connects as its own role while its data are shared, too (ADR 0016). Its rights are a copy of the
platform's on the same tables: a database that is closed to the platform is closed to the service.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from psycopg import sql

from apps.core import topology
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import OWNER

# Of the tables that belong to no service, what every service reads: the flags, and which migrations are applied.
COMMON = ("core_flag", "django_migrations")
# The role that all lifted-out services had in earlier versions.
RETIRED = "lc_service"
RIGHTS = {"TABLE": ("SELECT", "INSERT", "UPDATE", "DELETE"), "SEQUENCE": ("USAGE", "SELECT")}
FENCED = """
SELECT coalesce(has_table_privilege(to_regclass('extraction.fence')::oid, 'UPDATE'), false)
"""
LATER = """
SELECT CASE d.defaclobjtype WHEN 'S' THEN 'SEQUENCES' ELSE 'TABLES' END, a.privilege_type
FROM pg_default_acl d, aclexplode(d.defaclacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclnamespace = 'public'::regnamespace AND d.defaclobjtype IN ('r', 'S')
  AND d.defaclrole = to_regrole(%(owner)s) AND r.rolname = %(role)s
"""
HELD = """
SELECT c.relname, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.rolname, array_agg(a.privilege_type)
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND r.rolname = ANY(%(roles)s)
GROUP BY 1, 2, 3 ORDER BY 1, 3
"""


def platform() -> str:
    """The role of the platform, which answers for every service that is not lifted out."""
    return str(settings.DATABASE_APP_ROLES[0])


def of(service: str) -> list[str]:
    """The roles that a service's tables are granted to: the platform's first, then the service's own."""
    return [str(role).format(service=service) for role in settings.DATABASE_APP_ROLES]


def own_of(service: str) -> list[str]:
    """Of these, the roles that no other service has."""
    return [str(role).format(service=service) for role in settings.DATABASE_APP_ROLES if "{service}" in role]


def missing(connection: Connection) -> list[str]:
    """The services' own roles that this server does not have."""
    wanted = [role for service in topology.entries() for role in own_of(service)]
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [wanted]).fetchall()
    present = {str(name) for (name,) in rows}
    return [role for role in wanted if role not in present]


def is_present(connection: Connection, role: str) -> bool:
    """Whether this server has a role."""
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def may_retired_log_in(connection: Connection) -> bool:
    """Whether a process of an earlier version may still be at work, as the one role of all services."""
    row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [RETIRED]).fetchone()
    return bool(row and row[0])


def moving(connection: Connection) -> list[str]:
    """The services that are being moved from or to a database, on whose tables the guard refuses the owner's grants."""
    if (connection.execute("SELECT to_regclass('extraction.fence')").fetchone() or [None])[0] is None:
        return []
    return [str(name) for (name,) in connection.execute("SELECT service FROM extraction.fence WHERE moving ORDER BY 1")]


def grant(connection: Connection, services: Iterable[str]) -> list[str]:
    """Grant each service's own role what the platform may do with the service's tables; returns `role on table`.

    As the tables' owner or the control role, which is a member. The control role holds the fence that a cutover locks;
    the owner may not, and the guard refuses every grant of his while a service is being moved. No statement is sent
    where nothing is missing.

    Raises: psycopg.errors.ObjectInUse by the guard, psycopg.OperationalError.
    """
    granted: list[str] = []
    (is_fenced,) = connection.execute(FENCED).fetchone() or (False,)
    for service in services:
        with connection.transaction():
            if is_fenced:  # a cutover locks the same row before it closes the database
                connection.execute("SELECT 1 FROM extraction.fence WHERE service = %s FOR UPDATE", [service])
            for role in own_of(service):
                granted += _grant(connection, role, service)
    return granted


def _grant(connection: Connection, role: str, service: str) -> list[str]:
    if not is_present(connection, role):
        return []
    held = _held(connection, [platform(), RETIRED, role])
    granted = []
    for name, kind in dict.fromkeys((name, kind) for name, kind, _ in held):
        # Once an earlier version has decommissioned old tables, its one role has what the platform has no longer.
        rights = held.get((name, kind, platform()), set()) | held.get((name, kind, RETIRED), set())
        wanted = _wanted(service, name, kind, rights) - held.get((name, kind, role), set())
        if wanted:
            connection.execute(
                sql.SQL("GRANT {} ON {} {} TO {}").format(
                    sql.SQL(", ").join(map(sql.SQL, sorted(wanted))),
                    sql.SQL(kind),
                    sql.Identifier("public", name),
                    sql.Identifier(role),
                )
            )
            granted.append(f"{role} on {name}")
    return granted


def _wanted(service: str, name: str, kind: str, rights: set[str]) -> set[str]:
    """What the service's role needs where the platform's has `rights`."""
    if name in COMMON:
        return rights & {"SELECT"}
    is_own = name.startswith(topology.table_names(service))
    # A database in which no role may write is closed.
    return rights & set(RIGHTS[kind]) if is_own and rights & {"INSERT", "USAGE"} else set()


def grant_later(connection: Connection, service: str) -> None:
    """In a service's own database, grant its role the tables of later migrations that RETIRED was granted."""
    rows = connection.execute(LATER, {"owner": OWNER, "role": RETIRED}).fetchall()
    for kind, right in rows:
        for role in own_of(service):
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT {} ON {} TO {}").format(
                    sql.Identifier(OWNER), sql.SQL(str(right)), sql.SQL(str(kind)), sql.Identifier(role)
                )
            )


def has_successor(connection: Connection, service: str) -> bool:
    """Whether a service's own role may write wherever RETIRED may, so that the latter is not the last that can."""
    rights = _held(connection, [RETIRED, *own_of(service)])
    tables = [
        name
        for (name, kind, role), held in rights.items()
        if (role, kind) == (RETIRED, "TABLE") and "INSERT" in held and name.startswith(topology.table_names(service))
    ]
    return all("INSERT" in rights.get((name, "TABLE", role), set()) for name in tables for role in own_of(service))


def revoke(connection: Connection, role: str) -> list[str]:
    """Revoke every right of a role on tables and sequences, and its rights on later ones; returns their names."""
    names = []
    for name, kind, _ in _held(connection, [role]):
        connection.execute(
            sql.SQL("REVOKE ALL ON {} {} FROM {}").format(
                sql.SQL(kind), sql.Identifier("public", name), sql.Identifier(role)
            )
        )
        names.append(name)
    for kind in RIGHTS:
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public REVOKE ALL ON {} FROM {}").format(
                sql.Identifier(OWNER), sql.SQL(f"{kind}S"), sql.Identifier(role)
            )
        )
    return names


def _held(connection: Connection, names: list[str]) -> dict[tuple[str, str, str], set[str]]:
    """The rights by the names of table or sequence, its kind, and role."""
    rows = connection.execute(HELD, {"roles": names}).fetchall()
    return {(str(name), str(kind), str(role)): set(rights) for name, kind, role, rights in rows}

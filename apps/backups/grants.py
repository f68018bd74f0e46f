"""The rights and fences of a database, which our dumps leave out because a restore grants rights as its last step."""

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
# The schema's default rights for later tables; rights on the whole database belong to its creation (home.sql).
FUTURE = """
SELECT d.defaclobjtype::text, coalesce(r.rolname, 'public'), a.privilege_type
FROM pg_default_acl d, aclexplode(d.defaclacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclnamespace = 'public'::regnamespace AND d.defaclobjtype IN ('r', 'S') AND d.defaclrole = %s::regrole
ORDER BY 1, 2, 3
"""
FENCES = "SELECT service, epoch, closed FROM extraction.fence ORDER BY service"
# The epoch rises above every earlier one, in the backup or here, so that no earlier controller can act any more.
RAISE = """
INSERT INTO extraction.fence (service, epoch, closed) VALUES (%(s)s, %(e)s + 1, %(c)s)
ON CONFLICT (service) DO UPDATE SET epoch = greatest(extraction.fence.epoch, %(e)s) + 1, closed = %(c)s, closed_at = NULL,
    moving = false, filling = '', filled = '', tables = '', oids = '{}'
"""


def grants(connection: Connection) -> tuple[Grant, ...]:
    """Every right of roles other than the owner."""
    rows = connection.execute(GRANTS).fetchall()
    return tuple(Grant(KINDS[kind], name, role, right) for kind, name, role, right in rows)


def future_grants(connection: Connection) -> tuple[Grant, ...]:
    """Every default right on tables and sequences that the owner will create in the schema."""
    rows = connection.execute(FUTURE, [OWNER]).fetchall()
    return tuple(Grant(f"{KINDS[kind]}S", "", role, right) for kind, role, right in rows)


def fences(connection: Connection) -> tuple[Fence, ...]:
    """Every fence of the database."""
    return tuple(Fence(*row) for row in connection.execute(FENCES).fetchall())


def revoke_all(connection: Connection) -> None:
    """Revoke every right of roles other than the owner, including those granted by default at creation."""
    for kind, name, role in {(grant.kind, grant.name, grant.role) for grant in grants(connection)}:
        connection.execute(
            sql.SQL("REVOKE ALL ON {} {} FROM {}").format(sql.SQL(kind), sql.Identifier("public", name), _role(role))
        )


def grant_all(connection: Connection, saved: Iterable[Grant]) -> None:
    """Grant the saved rights again."""
    rights_of: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in saved:
        rights_of[grant.kind, grant.name, grant.role].append(grant.right)
    for (kind, name, role), rights in rights_of.items():
        connection.execute(
            sql.SQL("GRANT {} ON {} {} TO {}").format(
                _listed(rights), sql.SQL(kind), sql.Identifier("public", name), _role(role)
            )
        )


def replace_future_grants(connection: Connection, saved: Iterable[Grant]) -> None:
    """Replace the schema's default rights for later tables by the saved ones."""
    change = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public ").format(sql.Identifier(OWNER))
    for grant in future_grants(connection):
        right, kind, role = _listed([grant.right]), sql.SQL(grant.kind), _role(grant.role)
        connection.execute(change + sql.SQL("REVOKE {} ON {} FROM {}").format(right, kind, role))
    for grant in saved:
        right, kind, role = _listed([grant.right]), sql.SQL(grant.kind), _role(grant.role)
        connection.execute(change + sql.SQL("GRANT {} ON {} TO {}").format(right, kind, role))


def raise_fences(connection: Connection, saved: Iterable[Fence]) -> None:
    """Restore the fences under new epochs; no relocation is under way any more."""
    for fence in saved:
        connection.execute(RAISE, {"s": fence.service, "e": fence.epoch, "c": fence.closed})


def missing_roles(connection: Connection, saved: Iterable[Grant]) -> list[str]:
    """Roles that have rights in the backup and do not exist on this server."""
    roles = sorted({OWNER, *(grant.role for grant in saved)} - {"public"})
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [roles]).fetchall()
    return sorted(set(roles) - {str(name) for (name,) in rows})


def _role(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == "public" else sql.Identifier(name)


def _listed(rights: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(right) for right in rights)

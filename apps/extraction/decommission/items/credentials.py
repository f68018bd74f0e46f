"""credentials_revoked: no role of the platform, and no other role, has a right left on the old tables."""

from __future__ import annotations

from apps.core.postgres import replication
from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.relocation.access import KEEPERS
from apps.extraction.state import stages

# All rights that the server grants: to a role, to PUBLIC, by membership, on a table or on one of its columns.
RIGHTS = """
SELECT r.rolname, c.relname FROM pg_class c CROSS JOIN pg_roles r
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND c.relname ~ %(p)s
  AND NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> ALL(%(k)s) AND NOT pg_has_role(r.oid, c.relowner, 'USAGE')
  AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, c.oid, 'USAGE, SELECT, UPDATE')
      ELSE has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
           OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER') END
ORDER BY 1, 2
"""


def credentials_revoked(service: str) -> Finding:
    """Whether a role still has a right on the old tables."""
    with stages.pair(service) as pair:
        tables = replication.tables_of(pair.shared, service)
        if not tables:
            return holds("the old tables are gone")
        parameters = {"p": replication.pattern_of(service), "k": KEEPERS}
        rows = pair.shared.execute(RIGHTS, parameters).fetchall()
    grants = sorted({f"{role} on {table}" for role, table in rows})
    if grants:
        roles = sorted({str(role) for role, _ in rows})
        return fails(f"rights are left: {', '.join(roles)} on {len(grants)} tables", left=grants[:50])
    return holds(f"no role has a right on {len(tables)} old tables", tables=len(tables))

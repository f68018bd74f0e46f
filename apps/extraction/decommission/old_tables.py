"""Drops the old tables, once a backup of them was restored and found the same, and ends the local route."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from psycopg import sql

from apps.core.postgres import checksums, connections, database_roles, pg_dump, replication
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import OWNER, labels_of
from apps.extraction.decommission.items import migration
from apps.extraction.state.action import Run, Step
from apps.extraction.state.checks import ActionFailed, Check
from apps.extraction.state.stages import SHARED, Observed, Pair, Stage

BACKUP = Step("backup", _("backup: pg_dump of the old tables"))
COMPARE = Step("restore and compare", _("restore and compare: into a scratch database, every row, to the bit"))
GRANTS = Step(
    "grants", _("grants: the platform may only read in the service's own database; calls go to the service alone")
)
DROP = Step("drop", _("drop: the old tables"))


class NotDecommissioned(ActionFailed):
    """The restored backup differs from the tables: nothing was dropped."""


def before(pair: Pair, observed: Observed) -> list[Check]:
    """The checks before the old tables are dropped."""
    is_everyone = migration.is_everyone(pair.service)
    return [
        Check("stage", observed.stage is Stage.COMMITTED, f"the stage is {observed.stage}"),
        Check(
            "remote",
            is_everyone,
            "every call is remote" if is_everyone else "some calls are served locally still",
        ),
        Check("address", pair.service in settings.SEAM_AWAY, settings.SEAM_AWAY.get(pair.service, "none in SEAM_AWAY")),
        _own_role(pair),
        _tools(),
    ]


def _own_role(pair: Pair) -> Check:
    """The service is at work as its own role, which keeps the right to write when the platform's loses it."""
    own = database_roles.own_of(pair.service)
    rows = pair.own.execute(
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY(%s)", [own]
    ).fetchall()
    words = f"{', '.join(own)} is at work" if rows else f"no session of {', '.join(own)}: who would write then?"
    return Check("own role", bool(rows) or not own, words)


def back_up_and_drop(run: Run) -> None:
    """Back up, restore, compare; then drop the old tables, and leave the platform only the right to read the new ones.

    The facts are noted in the record. Raises: NotDecommissioned, BackupFailed.
    """
    pair, service = run.pair, run.service
    tables = replication.tables_of(pair.shared, service)
    file = Path(settings.BACKUP_ROOT) / f"{service}-{secrets.token_hex(4)}.dump"
    run.do(BACKUP, lambda: _back_up(tables, file), file.name)
    rows = run.do(COMPARE, lambda: _restored_and_compared(pair.shared, service, tables, file))
    # The grants come first: if this process dies before the tables are dropped, the action is done again from here.
    run.do(GRANTS, lambda: _leave_reading(pair.own, service))
    run.do(DROP, lambda: _drop(pair.shared, service, tables))
    if not run.is_dry:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        run.note(facts={"backup": str(file), "sha256": digest, "tables": len(tables), "rows": rows})


def _back_up(tables: tuple[str, ...], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600)
    pg_dump.dump(SHARED, tables, file)


def _drop(shared: Connection, service: str, tables: tuple[str, ...]) -> None:
    with shared.transaction():
        table_list = sql.SQL(", ").join(sql.Identifier("public", name) for name in tables)
        shared.execute(sql.SQL("DROP TABLE {}").format(table_list))
        shared.execute("DELETE FROM django_migrations WHERE app = ANY(%s)", [list(labels_of(service))])


def _leave_reading(own: Connection, service: str) -> None:
    """Leave the platform's role, the first one, only SELECT, for the admin; all else goes through the service."""
    tables = sql.SQL(", ").join(sql.Identifier("public", name) for name in replication.tables_of(own, service))
    role = sql.Identifier(database_roles.platform())
    with own.transaction():
        own.execute(sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(tables, role))
        own.execute(sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(tables, role))
        own.execute(
            sql.SQL(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public REVOKE INSERT, UPDATE, DELETE ON TABLES FROM {}"
            ).format(sql.Identifier(OWNER), role)
        )


def _restored_and_compared(shared: Connection, service: str, tables: tuple[str, ...], file: Path) -> int:
    """Restore into a scratch database on the shared server and compare every row; returns the number of rows.

    Raises: NotDecommissioned.
    """
    scratch = f"lc_check_{service}_{secrets.token_hex(4)}"
    shared.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(scratch)))
    try:
        pg_dump.restore(SHARED, scratch, file)
        with connections.control(SHARED, options="", database=scratch) as restored:
            rows = 0
            for name in tables:
                original, copy = checksums.content(shared, name), checksums.content(restored, name)
                if original != copy:
                    raise NotDecommissioned(
                        f"{name}: {original.rows} rows, {copy.rows} in the restored backup, or not the same"
                    )
                rows += original.rows
            return rows
    finally:
        shared.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(scratch)))


def _tools() -> Check:
    try:
        paths = [pg_dump.find(tool) for tool in ("pg_dump", "pg_restore")]
    except pg_dump.BackupFailed as error:
        return Check("backup tools", False, str(error))
    return Check("backup tools", True, ", ".join(Path(path).name for path in paths))

"""Rehearses a whole relocation on copies: two scratch databases on the real servers, filled from a backup.

The copies are led by a process of its own whose environment names no other databases, so that it cannot reach the real
ones.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from psycopg import sql

from apps.core.database import primaries
from apps.core.postgres import connections, database_roles, pg_dump, replication
from apps.core.postgres.migrate_service import OWNER
from apps.extraction.relocation.actions import (
    COMMIT,
    CUTOVER,
    NONE_FELT,
    PREPARE,
    ROLLBACK,
    SERVED,
    SYNC,
    VERIFY,
)
from apps.extraction.state import stages
from apps.extraction.state.action import Action, Run, Step
from apps.extraction.state.checks import ActionFailed
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.stages import SHARED

FACTS = "facts: "
PRIMARY_SQL = "migrations_playbook/sql/home.sql"
BACKUP = Step("backup", _("backup: the service's tables, by pg_dump"))
RESTORE = Step("restore", _("restore: into two scratch databases beside the real ones"))
PLAY = Step("play", _("play: prepare, sync, verify, cutover, rollback, cutover and commit on the copies"))
DROP = Step("drop", _("drop: the scratch databases"))


class RehearsalFailed(ActionFailed):
    """The rehearsal on the copies failed; the message is the output of its process."""


class _Dump(NamedTuple):
    tables: tuple[str, ...]
    file: Path


class _Copies(NamedTuple):
    shared: str
    own: str


def rehearse(run: Run) -> None:
    """Do the whole relocation on copies, and note its durations. The real databases are not changed."""
    service = run.service
    with ExitStack() as folder, ExitStack() as scratch:
        dump = run.do(BACKUP, lambda: _back_up(service, folder.enter_context(tempfile.TemporaryDirectory())))
        copies = run.do(RESTORE, lambda: _restore(service, scratch.enter_context(_scratch(service)), dump))
        facts = run.do(PLAY, lambda: _play_on_copies(service, copies, run.initiator))
        run.do(DROP, scratch.close)
    run.note(facts=facts)


def play(service: str, initiator: Initiator) -> str:
    """Every action in its order, in the databases of this process; the facts as one line."""
    facts: dict[str, Any] = {}
    order = (PREPARE, SYNC, VERIFY, CUTOVER, ROLLBACK, CUTOVER, COMMIT)
    for action in order:
        name = f"{action.name} again" if action.name in facts else action.name
        move = action.perform(service, initiator)
        pause = {} if move.pause_ms is None else {"pause_ms": move.pause_ms, "attempts": move.attempts}
        seconds = round((move.ended_at - move.started_at).total_seconds(), 2) if move.ended_at else None
        facts[name] = {"seconds": seconds, **pause, **move.facts}
    return FACTS + json.dumps(facts)


def _back_up(service: str, folder: str) -> _Dump:
    primary, file = primaries.database_of(service), Path(folder) / "copy.dump"
    with connections.control(primary) as connection:
        tables = replication.tables_of(connection, service)
    pg_dump.dump(primary, tables, file, options=["--data-only"])
    return _Dump(tables, file)


def _restore(service: str, copies: _Copies, dump: _Dump | None) -> _Copies:
    assert dump is not None, "the step before returns it"
    _fill(service, copies, *dump)
    return copies


@contextmanager
def _scratch(service: str) -> Iterator[_Copies]:
    mark = secrets.token_hex(4)
    with stages.pair(service) as pair:
        for alias, connection in ((SHARED, pair.shared), (service, pair.own)):
            for name in _abandoned(connection, service):  # of a rehearsal that was killed
                _drop(alias, connection, name)
    copies = _Copies(f"lc_rehearse_{service}_{mark}_a", f"lc_rehearse_{service}_{mark}_b")
    with stages.pair(service) as pair:
        try:
            for connection, name in ((pair.shared, copies.shared), (pair.own, copies.own)):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            yield copies
        finally:
            for alias, connection, name in ((SHARED, pair.shared, copies.shared), (service, pair.own, copies.own)):
                _drop(alias, connection, name)


def _abandoned(connection: connections.Connection, service: str) -> list[str]:
    """Copies of rehearsals that were killed: only the servers themselves are connected to them."""
    rows = connection.execute(
        "SELECT datname FROM pg_database d WHERE datname LIKE %s AND NOT EXISTS ("
        "SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname AND a.backend_type = 'client backend')",
        [f"lc\\_rehearse\\_{service}\\_%"],
    ).fetchall()
    return [str(name) for (name,) in rows]


def _drop(alias: str, connection: connections.Connection, name: str) -> None:
    """Drop a copy, its slots and its subscriptions first: PostgreSQL drops no database that has either."""
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return
    with connections.control(alias, database=name) as inside:
        query = "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = %s)"
        for (subscription,) in inside.execute(query, [name]).fetchall():
            replication.unsubscribe(inside, str(subscription))
    with connections.replicator(alias) as slots:
        rows = slots.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s", [name]).fetchall()
        for (slot,) in rows:
            replication.drop_slot(slots, str(slot))
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _fill(service: str, copies: _Copies, tables: tuple[str, ...], file: Path) -> None:
    """Create all tables by migrations and restore the service's rows; the platform may write in the shared copy."""
    for alias, name in ((SHARED, copies.shared), (service, copies.own)):
        with connections.control(alias, database=name) as connection:
            connection.execute((settings.BASE_DIR / PRIMARY_SQL).read_text())
            connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
    environment = _environment(service, copies)
    as_owner = f"{_url(settings.CONTROL_URLS[SHARED], copies.shared)}?options={quote(f'-c role={OWNER}')}"
    _run(["migrate", "--verbosity=0"], {**environment, "DATABASE_URL": as_owner})
    table_list = sql.SQL(", ").join(sql.Identifier("public", name) for name in tables)
    with connections.control(SHARED, database=copies.shared) as connection:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(table_list))
        pg_dump.restore(SHARED, copies.shared, file, options=["--data-only", f"--role={OWNER}"])
        platform = sql.Identifier(database_roles.platform())
        for rights in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE, SELECT ON ALL SEQUENCES"):
            connection.execute(sql.SQL("GRANT {} IN SCHEMA public TO {}").format(sql.SQL(rights), platform))
        database_roles.grant(connection, [service])


def _play_on_copies(service: str, copies: _Copies | None, initiator: Initiator) -> dict[str, Any]:
    assert copies is not None, "the step before returns them"
    output = _run(["extraction", service, "rehearse", "--here"], _environment(service, copies))
    facts: dict[str, Any] = {}
    for line in output.splitlines():
        if line.startswith(FACTS):
            facts = json.loads(line.removeprefix(FACTS))
        else:
            initiator.write_line(f"  {line}")
    return facts


def _environment(service: str, copies: _Copies) -> dict[str, str]:
    """The environment of a process that knows the copies and no other database."""
    application = settings.DATABASES
    own_url = settings.SERVICE_DATABASE_URLS[service]
    shared = application[SHARED]
    shared_url = (
        f"postgres://{quote(shared['USER'])}:{quote(shared['PASSWORD'])}@{shared['HOST']}:{shared['PORT'] or 5432}/"
    )
    return {
        **os.environ,
        "REHEARSAL": "true",
        "DATABASE_URL": _url(shared_url, copies.shared),
        "SERVICE_DATABASE_URLS": json.dumps({service: _url(own_url, copies.own)}),
        **{
            name: json.dumps({SHARED: _url(urls[SHARED], copies.shared), service: _url(urls[service], copies.own)})
            for name, urls in (("CONTROL_URLS", settings.CONTROL_URLS), ("REPLICATION_URLS", settings.REPLICATION_URLS))
        },
    }


def _url(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    """Run a management command on the copies; returns its output. Raises: RehearsalFailed."""
    process = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RehearsalFailed((process.stdout + process.stderr)[-3000:])
    return process.stdout


REHEARSE = Action(
    name="rehearse",
    label=_("Rehearse on copies"),
    effect=_(
        "The whole relocation is done on copies of its tables, which are dropped afterwards. People notice nothing."
    ),
    stages=SERVED,
    procedure=rehearse,
    locks=NONE_FELT,
)

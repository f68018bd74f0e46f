"""The primary of each service's data: the database that grants its tables to this process's role.

No message announces a new primary and no cache entry expires. A process that still uses the old database gets
`permission denied` (SQLSTATE 42501), re-reads the grants and retries. Here: reading the grants. Not here: changing them
(`extraction`).
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db.utils import DEFAULT_DB_ALIAS

from apps.core import topology

SHARED = DEFAULT_DB_ALIAS
POLL_SECONDS = 0.002
# insufficient_privilege: the grants were withdrawn; undefined_table: the tables are no longer there.
REFUSALS = frozenset({"42501", "42P01"})
ASK = """
SELECT to_regclass(%(table)s) IS NOT NULL,
       coalesce(has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'SELECT'), false),
       coalesce(has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'INSERT'), false)
"""


class Primary(NamedTuple):
    """A database, and whether this process may write to it or only read."""

    alias: str
    writable: bool = True


_known: dict[str, Primary] = {}
_fixed: ContextVar[Mapping[str, Primary] | None] = ContextVar("fixed_primaries", default=None)


def is_movable(service: str) -> bool:
    """Whether a service has a database of its own configured."""
    return service in settings.DATABASES


def of(service: str) -> Primary:
    """The primary of a service's data, as this process last read it.

    Raises: psycopg.OperationalError when no primary is found within five seconds.
    """
    fixed = _fixed.get()
    if fixed is not None and service in fixed:
        return fixed[service]
    if not is_movable(service):
        return Primary(SHARED)
    primary = _known.get(service)
    if primary is None:
        if not refresh(service, None, patience_seconds=5):
            raise psycopg.OperationalError(f"no database grants the tables of {service} to this process")
        primary = _known[service]
    return primary


def database_of(service: str) -> str:
    """The alias of a service's primary."""
    return of(service).alias


@contextmanager
def fixed(service: str, primary: Primary | None = None) -> Iterator[Primary]:
    """One primary, or a replica of it, for the whole of a command or query, even if the grants change meanwhile."""
    primary = primary or of(service)
    token = _fixed.set({**(_fixed.get() or {}), service: primary})
    try:
        yield primary
    finally:
        _fixed.reset(token)


def refresh(service: str, refused: Primary | None, *, patience_seconds: float) -> bool:
    """After a refusal by `refused`, wait until a database grants the tables and record it. False when none did in time.

    Many threads are refused at once; one of them reads the grants and the others use its result.
    """
    deadline = time.monotonic() + patience_seconds
    before = _known.get(service)
    with _lock_of(service):
        if (latest := _known.get(service)) is not None and latest not in (refused, before):
            return True
        while (primary := _read_grants(service)) is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        _known[service] = primary
        return True


def redirect(alias: str, state: str | None, sql: str) -> str | None:
    """The alias of the present primary for a statement that a database refused; None where it has no other."""
    if state not in REFUSALS:
        return None
    for service, pattern in _patterns():
        if pattern.search(sql):
            last = _known.get(service)
            if refresh(service, last if last and last.alias == alias else None, patience_seconds=5):
                present = _known[service].alias
                return present if present != alias else None
    return None


def known() -> dict[str, Primary]:
    """The primaries of all services that this process has looked up, as last read."""
    return dict(_known)


def any_relocated(before: dict[str, Primary], *, patience_seconds: float) -> bool:
    """Re-read the grants of every service in `before`: whether the primary of one has changed."""
    for service, last in before.items():
        refresh(service, last, patience_seconds=patience_seconds)
    return before != _known


def forget() -> None:
    """Discard this process's knowledge of primaries, so that the next use reads the grants."""
    _known.clear()


@cache
def _lock_of(service: str) -> threading.Lock:
    return threading.Lock()


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    services = [service for service in topology.entries() if is_movable(service)]
    names = {service: "|".join(map(re.escape, topology.table_names(service))) for service in services}
    return tuple((service, re.compile(rf"\b(?:{names[service]})")) for service in services)


class _Privileges(NamedTuple):
    exists: bool
    may_read: bool
    may_write: bool


def _read_grants(service: str) -> Primary | None:
    """The database that lets this process write, else the one that lets it read; None during a cutover."""
    answers: dict[str, _Privileges] = {}
    for alias in (SHARED, service):
        try:
            answers[alias] = privileges = _privileges(alias, service)
        except psycopg.OperationalError:
            continue  # a database that does not answer may be the primary, unless the other one grants writes
        if privileges.may_write:
            return Primary(alias)
    if len(answers) < 2:
        return None
    if not answers[service].exists:
        return Primary(SHARED)  # the service was never relocated, and the tables are yet to be created
    return next((Primary(alias, writable=False) for alias, privileges in answers.items() if privileges.may_read), None)


def _privileges(alias: str, service: str) -> _Privileges:
    key = (os.getpid(), alias)
    with _grant_connection_lock(alias):
        connection = _grant_connections.get(key)
        if connection is None or connection.broken or connection.closed:
            connection = _grant_connections[key] = connect(alias)
        role = settings.DATABASE_APP_ROLE or connection.info.user
        try:
            row = connection.execute(ASK, {"role": role, "table": f"public.{service}_command"}).fetchone()
        except psycopg.OperationalError:
            connection.close()
            raise
        return _Privileges(*row) if row else _Privileges(exists=False, may_read=False, may_write=False)


# Connections outside the pools: a pool whose connections all wait for a primary has none left to read the grants with.
_grant_connections: dict[tuple[int, str], psycopg.Connection[Any]] = {}


@cache
def _grant_connection_lock(alias: str) -> threading.Lock:
    return threading.Lock()


def connect(alias: str) -> psycopg.Connection[Any]:
    """A connection as this process's own role, outside the pools. Raises: psycopg.OperationalError."""
    database = settings.DATABASES[alias]
    return psycopg.connect(
        host=database.get("HOST") or None,
        port=database.get("PORT") or None,
        user=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        dbname=database["NAME"],
        connect_timeout=2,
        options="-c statement_timeout=2000",
        autocommit=True,
        prepare_threshold=None,
    )


@atexit.register
def _close() -> None:
    for (process, _), connection in _grant_connections.items():
        if process == os.getpid():
            connection.close()

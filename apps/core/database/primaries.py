"""The primary of each service's data: the database that grants its tables to this process's role.

Nothing is told and nothing expires. A process that looks in the wrong place is refused there by the database itself (SQLSTATE
42501), looks at the grants again, and repeats what it was doing. Here: that look. Not here: changing a grant (`extraction`).
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
LOOK_AGAIN_SECONDS = 0.002
# Refused where its tables were: by its grants, or because they are not there any more.
REFUSALS = frozenset({"42501", "42P01"})
ASK = """
SELECT to_regclass(%(table)s) IS NOT NULL,
       coalesce(has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'SELECT'), false),
       coalesce(has_table_privilege(%(role)s, to_regclass(%(table)s)::oid, 'INSERT'), false)
"""


class Primary(NamedTuple):
    """A database, and whether this process may write there or only read."""

    alias: str
    writable: bool = True


_known: dict[str, Primary] = {}
_fixed: ContextVar[Mapping[str, Primary] | None] = ContextVar("fixed_homes", default=None)


def is_movable(service: str) -> bool:
    """Whether a database of its own is configured for a service."""
    return service in settings.DATABASES


def of(service: str) -> Primary:
    """The primary of a service's data, as far as this process knows.

    Raises: psycopg.OperationalError when no primary can be found within five seconds.
    """
    fixed = _fixed.get()
    if fixed is not None and service in fixed:
        return fixed[service]
    if not is_movable(service):
        return Primary(SHARED)
    found = _known.get(service)
    if found is None:
        if not look_again(service, None, patience_seconds=5):
            raise psycopg.OperationalError(f"no database grants the tables of {service} to this process")
        found = _known[service]
    return found


def database_of(service: str) -> str:
    """The alias of a service's primary."""
    return of(service).alias


@contextmanager
def fixed(service: str, primary: Primary | None = None) -> Iterator[Primary]:
    """One primary for the whole of a command or a query, whatever is found out meanwhile; or a replica of it."""
    primary = primary or of(service)
    token = _fixed.set({**(_fixed.get() or {}), service: primary})
    try:
        yield primary
    finally:
        _fixed.reset(token)


def look_again(service: str, seen: Primary | None, *, patience_seconds: float) -> bool:
    """After a refusal at `seen`: wait until some database grants the tables, and remember which. False when none did in time.

    Many threads are refused at once; one of them looks and the others take what it found.
    """
    deadline = time.monotonic() + patience_seconds
    before = _known.get(service)
    with _lock_of(service):
        if (known := _known.get(service)) is not None and known not in (seen, before):
            return True
        while (found := _look(service)) is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_AGAIN_SECONDS)
        _known[service] = found
        return True


def elsewhere(alias: str, state: str | None, sql: str) -> str | None:
    """Where a statement belongs that a database has refused: the alias of the primary that its tables have now, or None."""
    if state not in REFUSALS:
        return None
    for service, pattern in _patterns():
        if pattern.search(sql):
            seen = _known.get(service)
            if look_again(service, seen if seen and seen.alias == alias else None, patience_seconds=5):
                found = _known[service].alias
                return found if found != alias else None
    return None


def known() -> dict[str, Primary]:
    """Where this process thinks that everything is."""
    return dict(_known)


def anything_moved(before: dict[str, Primary], *, patience_seconds: float) -> bool:
    """Look at every service's grants again: whether one of them is elsewhere than this process thought before."""
    for service, seen in before.items():
        look_again(service, seen, patience_seconds=patience_seconds)
    return before != _known


def forget() -> None:
    """Look at the grants anew at the next question; for this process only."""
    _known.clear()


@cache
def _lock_of(service: str) -> threading.Lock:
    return threading.Lock()


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    services = [service for service in topology.entries() if is_movable(service)]
    names = {service: "|".join(map(re.escape, topology.table_names(service))) for service in services}
    return tuple((service, re.compile(rf"\b(?:{names[service]})")) for service in services)


class _Asked(NamedTuple):
    exists: bool
    may_read: bool
    may_write: bool


def _look(service: str) -> Primary | None:
    """The database that lets us write, else the one that lets us read; none while a cutover is under way."""
    answers: dict[str, _Asked] = {}
    for alias in (SHARED, service):
        try:
            answers[alias] = asked = _privileges(alias, service)
        except psycopg.OperationalError:
            continue  # whoever cannot be asked may be the primary, unless another says that it is
        if asked.may_write:
            return Primary(alias)
    if len(answers) < 2:
        return None
    if not answers[service].exists:
        return Primary(SHARED)  # nothing has ever moved, and the tables are yet to be made
    return next((Primary(alias, writable=False) for alias, asked in answers.items() if asked.may_read), None)


def _privileges(alias: str, service: str) -> _Asked:
    key = (os.getpid(), alias)
    with _asking_lock(alias):
        connection = _askers.get(key)
        if connection is None or connection.broken or connection.closed:
            connection = _askers[key] = connect(alias)
        role = settings.DATABASE_APP_ROLE or connection.info.user
        try:
            row = connection.execute(ASK, {"role": role, "table": f"public.{service}_command"}).fetchone()
        except psycopg.OperationalError:
            connection.close()
            raise
        return _Asked(*row) if row else _Asked(exists=False, may_read=False, may_write=False)


# Connections of their own: a pool in which everybody waits for a primary has none to look with.
_askers: dict[tuple[int, str], psycopg.Connection[Any]] = {}


@cache
def _asking_lock(alias: str) -> threading.Lock:
    return threading.Lock()


def connect(alias: str) -> psycopg.Connection[Any]:
    """A connection of this process's own role, outside of the pools. Raises: psycopg.OperationalError."""
    given = settings.DATABASES[alias]
    return psycopg.connect(
        host=given.get("HOST") or None,
        port=given.get("PORT") or None,
        user=given.get("USER") or None,
        password=given.get("PASSWORD") or None,
        dbname=given["NAME"],
        connect_timeout=2,
        options="-c statement_timeout=2000",
        autocommit=True,
        prepare_threshold=None,
    )


@atexit.register
def _close() -> None:
    for (process, _), connection in _askers.items():
        if process == os.getpid():
            connection.close()

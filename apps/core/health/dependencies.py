"""The families that core knows, probed on separate connections, so that a busy pool gives no false result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import psycopg
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from redis import Redis

from apps.core import topology
from apps.core.database import primaries
from apps.core.flags import snapshot
from apps.core.health.probes import CONNECT_SECONDS, Dependency, Details
from apps.core.observability import otlp, spans
from apps.core.rest.keys import keyring
from apps.core.seam.signing import MAX_AGE_MS
from apps.core.seam.verify import conformance

# A signature is refused when two clocks differ by more than its maximum age; each clock may be off by half of that.
MAX_SKEW_MS = MAX_AGE_MS // 2
# Between the two commits of a cutover no database grants reads.
WAITS_SECONDS = (0.1, 0.3)
GRANTED = "SELECT coalesce(has_table_privilege(to_regclass(%s)::oid, 'SELECT'), false)"


class NotGranted(Exception):
    """No database lets this process read a service's tables."""


class Pending(Exception):
    """Migrations of this build have not been applied."""


class ClockSkew(Exception):
    """This clock and the database's are too far apart for signatures to be accepted."""


class SealsRefused(Exception):
    """The other side answers but refuses our signatures: a clock or a secret is wrong."""


class Unreachable(Exception):
    """No seam endpoint answers at the address."""


class NoKey(Exception):
    """No key to verify tokens with."""


class NotInRecovery(Exception):
    """A replica that follows no primary."""


class NotExported(Exception):
    """The collector did not accept the last batch of spans."""


def database() -> Iterator[Dependency]:
    """The shared database, and each other one that is the primary of a service answered by this process."""
    relocated = [service for service, primary in primaries.known().items() if primary.alias != primaries.SHARED]
    in_shared = tuple(service for service in topology.loaded() if service not in relocated)
    yield Dependency("database", partial(_shared, in_shared))
    for service in relocated:
        if service in settings.SEAM_SERVES:
            yield Dependency(f"database.{service}", partial(_granted, service, (service, primaries.SHARED)))


def _shared(services: tuple[str, ...]) -> None:
    with primaries.connect(primaries.SHARED) as connection:
        missing = [service for service in services if not _may_read(connection, service)]
    for service in missing:  # relocated since this process last used its data
        if not primaries.is_movable(service):
            raise NotGranted
        _granted(service, (service, primaries.SHARED))


def _granted(service: str, aliases: tuple[str, ...]) -> None:
    """Check that a database lets this process read a service's tables; retried, because a cutover may be under way."""
    for wait_seconds in (*WAITS_SECONDS, None):
        for alias in aliases:
            with primaries.connect(alias) as connection:
                if _may_read(connection, service):
                    return
        if wait_seconds is not None:
            time.sleep(wait_seconds)
    raise NotGranted


def _may_read(connection: psycopg.Connection[Any], service: str) -> bool:
    row = connection.execute(GRANTED, [f"public.{service}_command"]).fetchone()
    return bool(row and row[0])


def migrations() -> Iterator[Dependency]:
    """Every migration of this build is applied."""
    yield Dependency("migrations", _applied)


_complete: set[str] = set()


def _applied() -> None:
    """Check that no migration of this build is pending. A complete database is not checked again: it stays complete."""
    known = primaries.known()
    expected: dict[str, set[tuple[str, str]]] = {}
    for label, name in _of_this_build():
        service = topology.owners().get(label, "")
        alias = known[service].alias if service in known else primaries.SHARED
        expected.setdefault(alias, set()).add((label, name))
    for alias in expected.keys() - _complete:
        try:
            with primaries.connect(alias) as connection:
                rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
        except psycopg.errors.UndefinedTable:
            raise Pending from None
        except psycopg.OperationalError:
            continue  # down: its own dependency reports that
        except psycopg.errors.InsufficientPrivilege:
            rows = list(expected[alias])  # a lifted-out service may read its own tables alone; the owner migrates
        if expected[alias] - set(rows):
            raise Pending
        _complete.add(alias)


@cache
def _of_this_build() -> frozenset[tuple[str, str]]:
    loader = MigrationLoader(None)
    return frozenset(key for key in loader.disk_migrations if key not in loader.replacements)


def clock() -> Iterator[Dependency]:
    """This clock and the shared database's agree."""
    yield Dependency("clock", _skew)


def _skew() -> Details:
    """The skew in ms against the shared database's clock: processes that agree with it agree with each other."""
    with primaries.connect(primaries.SHARED) as connection:
        asked_at = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        answered_at = time.time()
    skew_ms = round(((asked_at + answered_at) / 2 - (row[0] if row else 0)) * 1000)
    if abs(skew_ms) > MAX_SKEW_MS:
        raise ClockSkew
    return {"skew_ms": skew_ms}


def redis() -> Iterator[Dependency]:
    """The broker and the cache are one server."""
    yield Dependency("redis", _ping)


def _ping() -> None:
    with Redis.from_url(
        settings.REDIS_URL, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS
    ) as client:
        client.ping()


def keys() -> Iterator[Dependency]:
    """Access tokens can be verified."""
    yield Dependency("keys", _checks_tokens)


def _checks_tokens() -> None:
    """Check that there is a public key to verify access tokens with."""
    if not keyring.public:
        raise NoKey


def home() -> Iterator[Dependency]:
    """For a lifted-out service: the monolith answers and accepts our signatures."""
    if settings.SEAM_HOME:
        other = next(name for name in topology.entries() if name != settings.SERVICE)
        yield Dependency("home", partial(_answers, other, settings.SEAM_HOME))


def services() -> Iterator[Dependency]:
    """Lifted-out services in use; optional, as without one the local side answers, or only that service is missing."""
    for service, url in settings.SEAM_AWAY.items():
        if service in settings.SEAM_OWN_DATA or snapshot.may_be_on(f"{service}_remote"):
            yield Dependency(f"service.{service}", partial(_answers, service, url), optional=True)


def _answers(service: str, url: str) -> None:
    problem = conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME)
    if problem:
        raise SealsRefused if "seals" in problem else Unreachable


def replicas() -> Iterator[Dependency]:
    """The read replicas; optional, because the primary answers in their place."""
    for primary, urls in settings.REPLICA_URLS.items():
        for number in range(len(urls)):
            alias = f"{primary}_replica_{number}"
            yield Dependency(f"replica.{alias}", partial(_follows, alias), optional=True)


def _follows(alias: str) -> None:
    with primaries.connect(alias) as connection:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if not row or not row[0]:
        raise NotInRecovery


def traces() -> Iterator[Dependency]:
    """The collector of spans; optional."""
    if spans.is_tracing():
        yield Dependency("traces", _exported, optional=True)


def _exported() -> None:
    if not otlp.last_export_succeeded():
        raise NotExported

"""What the databases and the lifted-out processes say of themselves: asked side by side, and once for however many people look.

A database that is away costs three seconds of waiting: each is asked in a thread of its own, and nobody asks twice at a time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import redis
from django.conf import settings
from django.core.cache import cache
from prometheus_client import REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector

from apps.core import topology
from apps.core.database import primaries
from apps.core.postgres import connections, replication
from apps.core.postgres.connections import Connection
from apps.core.seam.client import http
from apps.core.seam.verify import conformance
from apps.extraction.state import stages
from apps.extraction.state.stages import SHARED, Side

FRESH_SECONDS = 2.0
# One who was to look and has not come back: somebody else looks.
STALE_SECONDS = 15.0
KEPT_SECONDS = 60
KEPT, LOOKING = "extraction.dashboard.look", "extraction.dashboard.looking"
BREAKER = "seam_breaker_open"
ROWS = """
SELECT coalesce(sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)), 0)::bigint FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname ~ %s
"""


class Found(msgspec.Struct, frozen=True):
    """What one database says of one service; `problem` where it could not be asked. `rows` is the planner's estimate."""

    side: Side | None = None
    rows: int = 0
    problem: str = ""


class Look(msgspec.Struct, frozen=True):
    """One look at everything. `away` says why a lifted-out process does not answer, and is empty where it does."""

    at: float
    shared: dict[str, Found]
    own: dict[str, Found]
    away: dict[str, str]
    open_breakers: tuple[str, ...]


def movable() -> list[str]:
    """The services whose data can be led to a database of their own, as this process is configured."""
    return [
        service
        for service in topology.entries()
        if primaries.is_movable(service) and connections.is_configured(service)
    ]


def latest() -> Look:
    """A look at most two seconds old, or the last one while somebody else is looking."""
    kept = _kept()
    age = time.time() - kept.at if kept is not None else STALE_SECONDS
    if kept is not None and (age < FRESH_SECONDS or (age < STALE_SECONDS and not _may_look())):
        return kept
    found = look()
    with contextlib.suppress(redis.RedisError):
        cache.set(KEPT, msgspec.json.encode(found), KEPT_SECONDS)
        cache.delete(LOOKING)
    return found


def forget() -> None:
    """Look anew at the next question: something was done."""
    with contextlib.suppress(redis.RedisError):
        cache.delete_many([KEPT, LOOKING])


def look() -> Look:
    """Ask everybody, now."""
    services = movable()
    with ThreadPoolExecutor(max_workers=max(1, 1 + len(services) + len(settings.SEAM_AWAY))) as pool:
        shared = pool.submit(_shared, services)
        own = {service: pool.submit(_own, service) for service in services}
        away: dict[str, Future[str]] = {
            service: pool.submit(_silence, service, url)
            for service, url in settings.SEAM_AWAY.items()
            if service in topology.entries()
        }
        return Look(
            at=time.time(),
            shared=shared.result(),
            own={service: found.result() for service, found in own.items()},
            away={service: found.result() for service, found in away.items()},
            open_breakers=tuple(sorted(_open_breakers())),
        )


def _kept() -> Look | None:
    try:
        stored = cache.get(KEPT)
        return None if stored is None else msgspec.json.decode(stored, type=Look)
    except (redis.RedisError, msgspec.MsgspecError):
        return None


def _may_look() -> bool:
    try:
        return bool(cache.add(LOOKING, 1, int(STALE_SECONDS)))
    except redis.RedisError:
        return True


def _silence(service: str, url: str) -> str:
    """Why a lifted-out process does not answer, or nothing. The connection ends with this thread."""
    try:
        return conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME)
    finally:
        http.close_idle()


def _shared(services: list[str]) -> dict[str, Found]:
    try:
        with connections.control(SHARED) as connection:
            return {service: _found(connection, service, SHARED) for service in services}
    except (connections.NoWay, psycopg.Error) as error:
        return dict.fromkeys(services, Found(problem=_line(error)))


def _own(service: str) -> Found:
    try:
        with connections.control(service) as connection:
            return _found(connection, service, service)
    except (connections.NoWay, psycopg.Error) as error:
        return Found(problem=_line(error))


def _found(connection: Connection, service: str, alias: str) -> Found:
    row = connection.execute(ROWS, [replication.pattern_of(service)]).fetchone()
    return Found(stages.side(connection, service, alias), int(row[0]) if row else 0)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _open_breakers() -> Iterator[str]:
    """The services whose breaker is open in any process of this machine."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        files = [str(file) for file in Path(folder).glob("gauge_livemax_*.db")]
        found = MultiProcessCollector.merge(files)
    else:
        found = REGISTRY.collect()
    for metric in found:
        if metric.name == BREAKER:
            yield from (sample.labels["service"] for sample in metric.samples if sample.value)

"""Observes the databases and the lifted-out processes: in parallel, and once for all people who have a page open.

An unreachable database costs three seconds of waiting: each is read in a thread of its own, and one process observes at
a time.
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
# After this time without a result another process observes.
STALE_SECONDS = 15.0
STORED_SECONDS = 60
OBSERVATION_KEY, OBSERVING_KEY = "extraction.dashboard.look", "extraction.dashboard.looking"
BREAKER = "seam_breaker_open"
ROWS = """
SELECT coalesce(sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)), 0)::bigint FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname ~ %s
"""


class DatabaseState(msgspec.Struct, frozen=True):
    """The state of one service in one database, or the `problem` of reading it. `rows` is the planner's estimate."""

    side: Side | None = None
    rows: int = 0
    problem: str = ""


class Observation(msgspec.Struct, frozen=True):
    """One observation of everything.

    `away`, by service: why its lifted-out process does not answer; empty if it does.
    """

    at: float
    shared: dict[str, DatabaseState]
    own: dict[str, DatabaseState]
    away: dict[str, str]
    open_breakers: tuple[str, ...]


def movable() -> list[str]:
    """The services whose data can be relocated, as this process is configured."""
    return [
        service
        for service in topology.entries()
        if primaries.is_movable(service) and connections.is_configured(service)
    ]


def latest() -> Observation:
    """An observation at most two seconds old, or the last one while another process is observing."""
    stored = _stored()
    age = time.time() - stored.at if stored is not None else STALE_SECONDS
    if stored is not None and (age < FRESH_SECONDS or (age < STALE_SECONDS and not _may_observe())):
        return stored
    observation = observe()
    with contextlib.suppress(redis.RedisError):
        cache.set(OBSERVATION_KEY, msgspec.json.encode(observation).decode(), STORED_SECONDS)
        cache.delete(OBSERVING_KEY)
    return observation


def forget() -> None:
    """Drop the stored observation after an action, so that the next request observes anew."""
    with contextlib.suppress(redis.RedisError):
        cache.delete_many([OBSERVATION_KEY, OBSERVING_KEY])


def observe() -> Observation:
    """Read every database and process now."""
    services = movable()
    with ThreadPoolExecutor(max_workers=max(1, 1 + len(services) + len(settings.SEAM_AWAY))) as pool:
        shared = pool.submit(_shared, services)
        own = {service: pool.submit(_own, service) for service in services}
        silences: dict[str, Future[str]] = {
            service: pool.submit(_silence, service, url)
            for service, url in settings.SEAM_AWAY.items()
            if service in topology.entries()
        }
        return Observation(
            at=time.time(),
            shared=shared.result(),
            own={service: future.result() for service, future in own.items()},
            away={service: future.result() for service, future in silences.items()},
            open_breakers=tuple(sorted(_open_breakers())),
        )


def _stored() -> Observation | None:
    try:
        stored = cache.get(OBSERVATION_KEY)
        return None if stored is None else msgspec.json.decode(stored, type=Observation)
    except (redis.RedisError, msgspec.MsgspecError):
        return None


def _may_observe() -> bool:
    try:
        return bool(cache.add(OBSERVING_KEY, 1, int(STALE_SECONDS)))
    except redis.RedisError:
        return True


def _silence(service: str, url: str) -> str:
    """Why a lifted-out process does not answer, or an empty string. The connection ends with this thread."""
    try:
        return conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME)
    finally:
        http.close_idle()


def _shared(services: list[str]) -> dict[str, DatabaseState]:
    try:
        with connections.control(SHARED) as connection:
            return {service: _state_of(connection, service, SHARED) for service in services}
    except (connections.NoWay, psycopg.Error) as error:
        return dict.fromkeys(services, DatabaseState(problem=_line(error)))


def _own(service: str) -> DatabaseState:
    try:
        with connections.control(service) as connection:
            return _state_of(connection, service, service)
    except (connections.NoWay, psycopg.Error) as error:
        return DatabaseState(problem=_line(error))


def _state_of(connection: Connection, service: str, alias: str) -> DatabaseState:
    row = connection.execute(ROWS, [replication.pattern_of(service)]).fetchone()
    return DatabaseState(stages.side(connection, service, alias), int(row[0]) if row else 0)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _open_breakers() -> Iterator[str]:
    """The services whose breaker is open in any process of this machine."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        files = [str(file) for file in Path(folder).glob("gauge_livemax_*.db")]
        metrics = MultiProcessCollector.merge(files)
    else:
        metrics = REGISTRY.collect()
    for metric in metrics:
        if metric.name == BREAKER:
            yield from (sample.labels["service"] for sample in metric.samples if sample.value)

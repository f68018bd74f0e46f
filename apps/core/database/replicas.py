"""Streaming replicas: which of them may answer a query now, and which queries only the primary may answer.

A replica may answer while its lag is under a bound (setting REPLICA_MAX_LAG_SECONDS), and for a person only when it has
replayed what that person last wrote. Lag is measured against the primary's own log, so a replica that has lost its
primary is not taken for an idle one. A replica that lags or dies is left out, and returns by itself when it has caught
up.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.core.cache import cache as shared_cache
from django.db import connections
from prometheus_client.core import GaugeMetricFamily

from apps.core.database import primaries

ASK_SECONDS = 0.2
REMEMBERED_SECONDS = 300
SAMPLES = 600
PRIMARY = "SELECT pg_current_wal_lsn()::text"
REPLICA = "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text"
log = structlog.get_logger(__name__)


class State(NamedTuple):
    """A replica as last observed: its replay position, its lag (None: unknown), and the monotonic time of the look."""

    replayed: int
    lag_seconds: float | None
    at: float


def aliases_of(primary: str) -> tuple[str, ...]:
    """The replicas of a primary, by alias."""
    return tuple(f"{primary}_replica_{number}" for number in range(len(settings.REPLICA_URLS.get(primary, ()))))


def pick(primary: str, actor: UUID | None) -> str | None:
    """A replica that may answer this person's query, or None. The primary answers system work and anonymous calls."""
    if primary not in settings.REPLICA_URLS or actor is None:
        return None
    watch = _watch(primary, os.getpid())
    able = [(alias, state) for alias, state in watch.states() if _is_fresh(state)]
    if not able:
        return None
    needed = _last_written(primary, actor)
    if needed is None:
        return None
    fit = [alias for alias, state in able if state.replayed >= needed]
    return fit[time.monotonic_ns() // 1000 % len(fit)] if fit else None


def record_write(primary: str, actor: UUID | None) -> None:
    """Record a person's commit: for `REMEMBERED_SECONDS` only replicas that have replayed it may answer them."""
    if primary not in settings.REPLICA_URLS or actor is None:
        return
    with connections[primary].cursor() as cursor:
        cursor.execute(PRIMARY)
        position = _number(cursor.fetchone()[0])
    try:
        shared_cache.set(_key(primary, actor), position, REMEMBERED_SECONDS)
    except Exception as error:  # noqa: BLE001 - any cache backend; without the position no replica is read
        log.warning("write_not_remembered", primary=primary, error=str(error))


def leave_out(alias: str) -> None:
    """After a failed query, send the replica no more queries until a later look finds it healthy."""
    primary = alias.partition("_replica_")[0]
    _watch(primary, os.getpid()).leave_out(alias)


class LagCollector:
    """The lag of every replica as a metric, read at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`database_replica_lag_seconds{replica}`; infinite where it is unknown."""
        family = GaugeMetricFamily(
            "database_replica_lag_seconds", "How far a replica is behind its primary", labels=["replica"]
        )
        for primary in settings.REPLICA_URLS:
            for alias, state in _watch(primary, os.getpid()).states():
                lag = float("inf") if state.lag_seconds is None or _is_old(state) else state.lag_seconds
                family.add_metric([alias], lag)
        yield family


class _Watch:
    """A thread that polls one primary and its replicas five times a second, over connections of its own."""

    def __init__(self, primary: str) -> None:
        self.primary = primary
        self._states: dict[str, State] = {alias: State(0, None, 0.0) for alias in aliases_of(primary)}
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._polled = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"replicas-{primary}", daemon=True)
        self._thread.start()

    def states(self) -> list[tuple[str, State]]:
        """The replicas' states; waits for the first poll."""
        self._polled.wait(2 * ASK_SECONDS)
        return list(self._states.items())

    def stop(self) -> None:
        """Stop polling."""
        self._stopped.set()
        self._thread.join()

    def leave_out(self, alias: str) -> None:
        """Leave a replica out until the next poll."""
        self._states[alias] = State(0, None, time.monotonic())

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._poll()
            self._polled.set()
            self._stopped.wait(ASK_SECONDS)
        for connection in self._connections.values():
            connection.close()

    def _poll(self) -> None:
        """Read the primary first: a replica that has replayed up to its position lags by less than the time since."""
        now = time.monotonic()
        if (row := self._ask(self.primary, PRIMARY)) is not None:
            (written,) = row
            self._samples.append((now, _number(str(written))))
        for alias in self._states:
            row = self._ask(alias, REPLICA)
            seen_at = time.monotonic()
            in_recovery, replayed_lsn = row or (False, None)
            if not in_recovery or replayed_lsn is None:
                self._states[alias] = State(0, None, seen_at)
                continue
            replayed = _number(str(replayed_lsn))
            self._states[alias] = State(replayed, self._lag(replayed, seen_at), seen_at)

    def _lag(self, replayed: int, now: float) -> float | None:
        """The seconds since the primary was last at the position where the replica is now."""
        if not self._samples or now - self._samples[-1][0] > 5 * ASK_SECONDS:
            return None  # the primary's position is unknown
        passed = [at for at, position in self._samples if position <= replayed]
        return now - passed[-1] if passed else None

    def _ask(self, alias: str, sql: str) -> tuple[Any, ...] | None:
        try:
            connection = self._connections.get(alias)
            if connection is None or connection.closed:
                connection = self._connections[alias] = primaries.connect(alias)
            return connection.execute(sql).fetchone()
        except psycopg.Error as error:
            if (connection := self._connections.pop(alias, None)) is not None:
                connection.close()
            log.info("replica_or_home_away", alias=alias, error=str(error))
            return None


def forget() -> None:
    """Stop polling in this process; the next use starts again."""
    for primary in settings.REPLICA_URLS:
        _watch(primary, os.getpid()).stop()
    _watch.cache_clear()


@cache
def _watch(primary: str, process: int) -> _Watch:
    """One watch per primary and process, because a fork has none of its parent's threads."""
    return _Watch(primary)


def _is_old(state: State) -> bool:
    return time.monotonic() - state.at > 5 * ASK_SECONDS


def _is_fresh(state: State) -> bool:
    return (
        state.lag_seconds is not None and state.lag_seconds <= settings.REPLICA_MAX_LAG_SECONDS and not _is_old(state)
    )


def _last_written(primary: str, actor: UUID) -> int | None:
    """The log position of this person's last write; 0 for none of late, None when the cache cannot be read."""
    try:
        return int(shared_cache.get(_key(primary, actor), 0))
    except Exception as error:  # noqa: BLE001 - any cache backend
        log.warning("write_not_known", primary=primary, error=str(error))
        return None


def _key(primary: str, actor: UUID) -> str:
    return f"wrote:{primary}:{actor}"


def _number(position: str) -> int:
    """A log position as a number (PostgreSQL manual, 8.20 pg_lsn)."""
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)

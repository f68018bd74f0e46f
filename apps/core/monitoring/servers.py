"""PostgreSQL's replication statistics: followers and their lag, subscriptions, and the log that slots retain.

Read as the control role, which may see the statistics of all roles; so only where CONTROL_URLS is set. Sources:
PostgreSQL manual, 27.2.4 pg_stat_replication, 27.2.8 pg_stat_subscription, 53.19 pg_replication_slots.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from psycopg.conninfo import conninfo_to_dict

from apps.core.postgres import connections
from apps.core.postgres.connections import Connection

TIMEOUT_MS = 400
STATUSES = ("reserved", "extended", "unreserved", "lost")
# A lag is null where nothing was sent of late; a follower that has replayed all that was sent is then not behind.
FOLLOWERS = """
SELECT r.application_name, CASE WHEN s.slot_type = 'logical' THEN 'logical' ELSE 'physical' END,
       extract(epoch FROM coalesce(r.write_lag, done.lag)), extract(epoch FROM coalesce(r.flush_lag, done.lag)),
       extract(epoch FROM coalesce(r.replay_lag, done.lag)),
       greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn), 0)
FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
CROSS JOIN LATERAL (SELECT CASE WHEN r.replay_lsn >= r.sent_lsn THEN interval '0' END AS lag) done
WHERE r.state IN ('catchup', 'streaming')
"""
SLOTS = """
SELECT slot_name, coalesce(database, ''), active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), safe_wal_size,
       coalesce(wal_status, 'reserved')
FROM pg_replication_slots WHERE NOT temporary
"""
SUBSCRIPTIONS = """
SELECT s.subname, s.subenabled, extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time),
       coalesce(e.apply_error_count, 0)
FROM pg_subscription s LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.worker_type = 'apply'
LEFT JOIN pg_stat_subscription_stats e ON e.subid = s.oid
"""


def servers() -> dict[str, str]:
    """The alias of one database of each server, by `host:port`."""
    aliases: dict[str, str] = {}
    for alias, url in settings.CONTROL_URLS.items():
        parts = conninfo_to_dict(url)
        aliases.setdefault(f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}", alias)
    return aliases


class ServerCollector:
    """The statistics of one server, over a persistent connection."""

    def __init__(self, server: str, alias: str) -> None:
        self._server = server
        self._alias = alias
        self._connection: Connection | None = None

    def collect(self) -> Iterator[Metric]:
        """`postgres_replication_*`, `postgres_slot_*`, `postgres_subscription_*`. Raises: psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = connections.control(
                self._alias, options=f"-c statement_timeout={TIMEOUT_MS} -c lock_timeout={TIMEOUT_MS}"
            )
        try:
            yield from (*self._followers(), *self._slots(), *self._subscriptions())
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        return [] if self._connection is None else self._connection.execute(sql).fetchall()

    def _followers(self) -> Iterator[Metric]:
        seconds = GaugeMetricFamily(
            "postgres_replication_lag_seconds",
            "How far a follower is behind its server; absent where it is not known",
            labels=["server", "application", "kind", "stage"],
        )
        size = GaugeMetricFamily(
            "postgres_replication_lag_bytes",
            "Log that a follower has not replayed",
            labels=["server", "application", "kind"],
        )
        for application, kind, *lags, behind in self._ask(FOLLOWERS):
            for stage, lag in zip(("write", "flush", "replay"), lags, strict=True):
                if lag is not None:
                    seconds.add_metric([self._server, application, kind, stage], float(lag))
            if behind is not None:
                size.add_metric([self._server, application, kind], float(behind))
        yield from (seconds, size)

    def _slots(self) -> Iterator[Metric]:
        labels = ["server", "slot", "database"]
        active = GaugeMetricFamily("postgres_slot_active", "Whether a slot has a reader", labels=labels)
        retained_bytes = GaugeMetricFamily(
            "postgres_slot_retained_bytes", "Log that a slot makes its server keep", labels=labels
        )
        safe_bytes = GaugeMetricFamily(
            "postgres_slot_safe_bytes",
            "Log that may be written before a slot may be lost; absent where nothing bounds it",
            labels=labels,
        )
        status = GaugeMetricFamily("postgres_slot_status", "1 for what a slot's log is", labels=[*labels, "status"])
        for slot, database, is_active, retained, left, state in self._ask(SLOTS):
            named = [self._server, slot, database]
            active.add_metric(named, is_active)
            if retained is not None:
                retained_bytes.add_metric(named, float(retained))
            if left is not None:
                safe_bytes.add_metric(named, float(left))
            for name in STATUSES:
                status.add_metric([*named, name], name == state)
        yield from (active, retained_bytes, safe_bytes, status)

    def _subscriptions(self) -> Iterator[Metric]:
        labels = ["server", "subscription"]
        enabled = GaugeMetricFamily("postgres_subscription_enabled", "Whether a subscription is on", labels=labels)
        silent = GaugeMetricFamily(
            "postgres_subscription_silent_seconds",
            "Time since a subscription last heard of its publisher; absent while no worker applies",
            labels=labels,
        )
        errors = CounterMetricFamily("postgres_subscription_errors", "Changes that could not be applied", labels=labels)
        for name, is_enabled, seconds, count in self._ask(SUBSCRIPTIONS):
            named = [self._server, name]
            enabled.add_metric(named, is_enabled)
            errors.add_metric(named, count)
            if seconds is not None:
                silent.add_metric(named, max(float(seconds), 0))
        yield from (enabled, silent, errors)

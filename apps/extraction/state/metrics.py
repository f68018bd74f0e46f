"""The stage of every service's migration, as a metric. Only a process that leads relocations has it (CONTROL_URLS)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import psycopg
from prometheus_client.core import GaugeMetricFamily

from apps.core import topology
from apps.core.database import primaries
from apps.core.flags.routes import system_context
from apps.core.postgres import connections
from apps.core.postgres.connections import Connection
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync
from apps.extraction.state import stages
from apps.extraction.state.stages import SHARED, Pair, Stage, TwoPrimaries

OPTIONS = "-c statement_timeout=400 -c lock_timeout=400"
TWO_PRIMARIES = "two_homes"
CLOSED_AT = "SELECT extract(epoch FROM closed_at) FROM extraction.fence WHERE service = %s"


class MoveCollector:
    """Observes each service as `stages.observe` does, over connections that stay open."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield `extraction_stage{service,stage}` and `extraction_fence_held_seconds{service}`.

        Raises: ExceptionGroup, after the values that are known.
        """
        stage = GaugeMetricFamily(
            "extraction_stage", "1 for the stage that a service's migration is at", labels=["service", "stage"]
        )
        held = GaugeMetricFamily(
            "extraction_fence_held_seconds",
            "How long a service's data have not been writable, 0 if they are",
            labels=["service"],
        )
        syncs = call(DATASYNC).list(ctx=system_context("extraction.metrics"), limit=200)
        problems: list[Exception] = []
        for service in topology.entries():
            try:
                current, held_seconds = self._observe(service, syncs)
            except (psycopg.Error, connections.NoWay) as error:
                problems.append(error)
                continue
            for value in (*Stage, TWO_PRIMARIES):
                stage.add_metric([service, value], value == current)
            held.add_metric([service], held_seconds)
        yield from (stage, held)
        if problems:
            raise ExceptionGroup("some services' databases could not be asked", problems)

    def _observe(self, service: str, syncs: Sequence[Sync]) -> tuple[str, float]:
        if not primaries.is_movable(service) or not connections.is_configured(service):
            return stages.observe(service).stage, 0.0
        pair = Pair(service, self._connection(SHARED), self._connection(service))
        try:
            observed = stages.observe_with(pair, syncs)
        except TwoPrimaries:
            return TWO_PRIMARIES, 0.0
        if observed.stage is not Stage.CUTTING or observed.own is None:
            return observed.stage, 0.0
        closed = max((observed.shared, observed.own), key=lambda side: side.closed)
        row = pair.side(closed.alias).execute(CLOSED_AT, [service]).fetchone()
        return observed.stage, max(time.time() - float(row[0]), 0.0) if row and row[0] else 0.0

    def _connection(self, alias: str) -> Connection:
        """The open connection to a database, or a new one."""
        connection = self._connections.get(alias)
        if connection is not None and not connection.closed:
            return connection
        self._connections[alias] = connection = connections.control(alias, options=OPTIONS)
        return connection

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            with contextlib.suppress(psycopg.Error):
                connection.close()
        self._connections.clear()

"""Which database accepts writes: a watcher that polls both, and real attempts to write as the platform's role."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import Any, Self

import psycopg
from django.conf import settings

from apps.core.postgres import connections, fences
from apps.extraction.state import stages
from apps.extraction.state.stages import SHARED

PAUSE_SECONDS = 0.003


class Watch:
    """Polls for two writable databases of a service.

    Two databases cannot be read at one moment. So one is read before and after the other: it was writable all the while if it was
    both times under the same epoch, because closing and opening it again takes a new epoch.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.polls = 0
        self.violations: list[str] = []
        self._was_both = False
        self._connections: dict[str, connections.Connection] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="two primaries", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def both_writable(self) -> bool:
        """Whether both databases were writable at one moment. Raises: psycopg.Error."""
        shared, own = self._connection(SHARED), self._connection(self.service)
        before = fences.epoch(shared, self.service)
        if not fences.is_writable(shared, self.service) or not fences.is_writable(own, self.service):
            return False
        return fences.is_writable(shared, self.service) and fences.epoch(shared, self.service) == before

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                both = self.both_writable()
            except psycopg.Error:
                self.close()  # a server is down, and accepts no writes
                continue
            self.polls += 1
            if both and not self._was_both:
                self.violations.append(f"{time.strftime('%H:%M:%S')}: {self._fences()}")
            self._was_both = both

    def _fences(self) -> str:
        rows = []
        for alias in (SHARED, self.service):
            with contextlib.suppress(psycopg.Error):
                rows.append(str(stages.side(self._connection(alias), self.service, alias)))
        return "; ".join(rows)

    def _connection(self, alias: str) -> connections.Connection:
        connection = self._connections.get(alias)
        if connection is None or connection.closed:
            connection = self._connections[alias] = connections.control(alias)
        return connection


def permitted(service: str) -> list[str]:
    """Where the platform's role can insert a row now: tried, and rolled back. Raises: psycopg.OperationalError."""
    return [alias for alias in (SHARED, service) if _can_insert(alias, service)]


def _can_insert(alias: str, service: str) -> bool:
    database: dict[str, Any] = settings.DATABASES[alias]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
        connect_timeout=3,
    ) as connection:
        try:
            connection.execute(
                f"INSERT INTO {service}_command (id, method, actor_id, key, arguments_digest) VALUES (%s, '', %s, '', '')",
                [uuid.uuid4(), uuid.uuid4()],
            )
        except psycopg.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
    return True


def primary_of(service: str) -> str | None:
    """The alias of the one writable database; None where there is none, or the two answers are of different moments.

    Raises: psycopg.OperationalError.
    """
    with stages.pair(service) as pair:
        writable = [alias for alias in (SHARED, service) if fences.is_writable(pair.side(alias), service)]
    return writable[0] if len(writable) == 1 else None

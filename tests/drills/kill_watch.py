"""Who may write: a watcher that looks at both databases all the time, and real attempts to write in the platform's name."""

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
    """Looks for two writable homes of a service.

    Two databases cannot be read at one moment. So one is read twice, around the other: it was writable all the while when it was
    both times, under one and the same epoch, for closing and opening it again takes a new one.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.looks = 0
        self.sightings: list[str] = []
        self._is_seen = False
        self._connections: dict[str, connections.Connection] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="two homes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def look(self) -> bool:
        """Whether both were writable at one moment. Raises: psycopg.Error."""
        shared, own = self._connection(SHARED), self._connection(self.service)
        before = fences.epoch(shared, self.service)
        if not fences.is_writable(shared, self.service) or not fences.is_writable(own, self.service):
            return False
        return fences.is_writable(shared, self.service) and fences.epoch(shared, self.service) == before

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                both = self.look()
            except psycopg.Error:
                self.close()  # a server is away, and nobody writes there
                continue
            self.looks += 1
            if both and not self._is_seen:
                self.sightings.append(f"{time.strftime('%H:%M:%S')}: {self._fences()}")
            self._is_seen = both

    def _fences(self) -> str:
        rows = []
        for alias in (SHARED, self.service):
            with contextlib.suppress(psycopg.Error):
                rows.append(str(stages.side(self._connection(alias), self.service, alias)))
        return "; ".join(rows)

    def _connection(self, alias: str) -> connections.Connection:
        found = self._connections.get(alias)
        if found is None or found.closed:
            found = self._connections[alias] = connections.control(alias)
        return found


def permitted(service: str) -> list[str]:
    """Where the platform's role can insert a row now: tried, and rolled back. Raises: psycopg.OperationalError."""
    return [alias for alias in (SHARED, service) if _can_insert(alias, service)]


def _can_insert(alias: str, service: str) -> bool:
    given: dict[str, Any] = settings.DATABASES[alias]
    with psycopg.connect(
        host=given["HOST"],
        port=given["PORT"],
        user=given["USER"],
        password=given["PASSWORD"],
        dbname=given["NAME"],
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


def home_of(service: str) -> str | None:
    """The alias of the one writable home; None where there is none, or the two answers are of different moments.

    Raises: psycopg.OperationalError.
    """
    with stages.pair(service) as found:
        writable = [alias for alias in (SHARED, service) if fences.is_writable(found.side(alias), service)]
    return writable[0] if len(writable) == 1 else None

"""Access tokens that are refused before they expire, because something was taken from the person since.

The list is short: people who lost a role, were blocked or changed their password within a token's life, each with the
least version of a token that is accepted. A thread reads it by `SEAM_REVOKED` every half second while requests come; a
request that finds it older than a second waits for it. While it cannot be read in time the last one counts and no
request waits, so that authentication's failure stays its own; a token is then good until it expires.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

INTERVAL_SECONDS = 0.5
MAX_AGE_SECONDS = 1.0
IDLE_SECONDS = 30.0
Read = Callable[[], Mapping[UUID, int]]
log = structlog.get_logger(__name__)


class RevocationList:
    """The least accepted version of each person's tokens, at most a second old."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._versions: Mapping[UUID, int] = {}
        self._read_at = -MAX_AGE_SECONDS  # the time at which the last attempt began
        self._is_wanted = False
        self._is_failing = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def refuses(self, person: UUID, version: int) -> bool:
        """Whether a person's token of this version was revoked."""
        if not self._is_wanted or self._is_old():
            self._await_recent()
        return version < self._versions.get(person, 0)

    def _is_old(self) -> bool:
        return not self._is_failing and time.monotonic() - self._read_at > MAX_AGE_SECONDS

    def _await_recent(self) -> None:
        with self._changed:
            self._is_wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="revocations", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_old(), MAX_AGE_SECONDS)

    def _run(self) -> None:
        while self._next_is_wanted():
            began = time.monotonic()
            self._try_to_read()
            with self._changed:
                self._read_at = began
                self._changed.notify_all()
            time.sleep(max(0.0, began + INTERVAL_SECONDS - time.monotonic()))

    def _next_is_wanted(self) -> bool:
        """Wait until a request asks. A thread without work ends, and its connections with it."""
        with self._changed:
            is_wanted = self._changed.wait_for(lambda: self._is_wanted, IDLE_SECONDS)
            self._is_wanted = False
            if not is_wanted:
                self._thread = None
        if not is_wanted:
            connections.close_all()
        return is_wanted

    def _try_to_read(self) -> None:
        try:
            self._versions = self._read()
            self._is_failing = False
        except Exception as error:
            if not self._is_failing:
                log.warning("revocations_not_read", exc_info=error)
            self._is_failing = True
            connections.close_all()


@cache
def current() -> RevocationList:
    """This process's list."""
    read: Read = import_string(settings.SEAM_REVOKED)
    return RevocationList(read)

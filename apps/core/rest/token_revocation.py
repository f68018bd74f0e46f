"""Access tokens that are refused before they expire, because something was taken from the person since.

The list is short: people who lost a role, were blocked or changed their password within a token's life, each with the
least version of a token that is accepted. A thread reads it by `SEAM_REVOKED` every half second while requests come; a
request that finds it older than a second waits for it. Where it cannot be read in time no request waits, and the last
one counts, so that authentication's failure stays its own: a token is then good until it expires.
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
from prometheus_client import Counter

INTERVAL_SECONDS = 0.5
MAX_AGE_SECONDS = 1.0
IDLE_SECONDS = 30.0
LOGGED_SECONDS = 60.0
Read = Callable[[], Mapping[UUID, int]]
log = structlog.get_logger(__name__)
reads_total = Counter("token_revocation_reads_total", "Readings of the list of revoked tokens", ("outcome",))


class TokenRevocations:
    """The least accepted version of each person's tokens, at most a second old while it can be read in half of one."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._versions: Mapping[UUID, int] = {}
        long_ago = time.monotonic() - LOGGED_SECONDS - 1
        self._read_at = long_ago  # when the last reading that succeeded began
        self._tried_at = long_ago  # when the last one ended, however it ended
        self._logged_at = long_ago
        self._is_wanted = self._is_reading = False
        self._is_worth_waiting = True
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def refuses(self, person: UUID, version: int) -> bool:
        """Whether a person's token of this version was revoked."""
        if not self._is_wanted or self._is_old():
            self._await_recent()
        return version < self._versions.get(person, 0)

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at > MAX_AGE_SECONDS

    def _await_recent(self) -> None:
        with self._changed:
            self._is_wanted = True
            if not self._is_reading and time.monotonic() - self._tried_at > MAX_AGE_SECONDS:
                self._is_worth_waiting = True  # the last failure is of another time
            self._require_thread()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_worth_waiting or not self._is_old(), MAX_AGE_SECONDS)
            if self._is_old():
                self._is_worth_waiting = False  # one waits in vain, and not all after it

    def _require_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():  # after a fork it is not
            return
        thread = threading.Thread(target=self._run, name="token-revocations", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads; the next request tries again
            self._failed(error)
        else:
            self._thread = thread

    def _run(self) -> None:
        while self._next_is_wanted():
            began = time.monotonic()
            self._try_to_read()
            time.sleep(max(0.0, began + INTERVAL_SECONDS - time.monotonic()))

    def _next_is_wanted(self) -> bool:
        """Wait until a request asks. A thread without work ends."""
        with self._changed:
            is_wanted = self._changed.wait_for(lambda: self._is_wanted, IDLE_SECONDS)
            self._is_wanted = False
            self._is_reading = is_wanted
            if not is_wanted:
                self._thread = None
            return is_wanted

    def _try_to_read(self) -> None:
        began, versions = time.monotonic(), None
        try:
            versions = self._read()
            connections.close_all()  # a pool lends it to requests meanwhile
        except Exception as error:  # noqa: BLE001 - after any failure the last list counts, and it is logged
            self._failed(error)
        with self._changed:
            self._tried_at = time.monotonic()
            self._is_reading = False
            if versions is not None:
                self._versions, self._read_at = versions, began
            is_in_time = versions is not None and self._tried_at - began < INTERVAL_SECONDS
            self._is_worth_waiting = is_in_time
            self._changed.notify_all()
        reads_total.labels("ok" if is_in_time else "slow" if versions is not None else "failed").inc()

    def _failed(self, error: Exception) -> None:
        self._is_worth_waiting = False
        if time.monotonic() - self._logged_at > LOGGED_SECONDS:
            self._logged_at = time.monotonic()
            log.warning("token_revocations_not_read", exc_info=error)


@cache
def current() -> TokenRevocations:
    """This process's list."""
    read: Read = import_string(settings.SEAM_REVOKED)
    return TokenRevocations(read)

"""Notifies the outbox relay of new events, soon after a commit and off the caller's path.

Notifications are collected for `COLLECT_SECONDS` and sent by one thread. While the broker is down, events are delivered
later but not lost, because Celery beat starts the relay as well.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

import structlog

COLLECT_SECONDS = 0.02
log = structlog.get_logger(__name__)


class Notifier:
    """One per process; created anew after a fork."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._wake = threading.Event()
        self._pending: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def notify(self, label: str) -> None:
        """Record that this app's outbox has new events."""
        with self._lock:
            self._pending.add(label)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Send the pending notifications."""
        with self._lock:
            labels, self._pending = self._pending, set()
        for label in labels:
            _send(label)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self.flush()
            threading.Event().wait(COLLECT_SECONDS)


def _send(label: str) -> None:
    from celery import current_app  # the broker is not needed to import the seam

    try:
        current_app.send_task("core.pump", args=[label], queue=f"events.{label}", ignore_result=True, retry=False)
    except Exception as error:  # noqa: BLE001 - a failed notification must not fail the command that caused it
        log.warning("doorbell_failed", app=label, error=str(error))


_notifier = Notifier()


def notify(label: str) -> None:
    """Ask the relay to deliver this app's outbox."""
    global _notifier
    if _notifier._pid != os.getpid():
        _notifier = Notifier()
    _notifier.notify(label)


def _flush_at_exit(*_: Any) -> None:
    if _notifier._pid == os.getpid():
        _notifier.flush()


atexit.register(_flush_at_exit)

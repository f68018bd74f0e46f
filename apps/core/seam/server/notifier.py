"""Tells the pump that an outbox has something, soon after a commit and off the caller's path.

Rings are collected for a moment and sent by one thread; a broker that is away loses only the hurry, because the clock
(Celery beat) pumps as well.
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
    """One per process; made again after a fork."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._wake = threading.Event()
        self._rung: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def notify(self, label: str) -> None:
        """Remember that this app's outbox has something."""
        with self._lock:
            self._rung.add(label)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Send what was rung and not yet sent."""
        with self._lock:
            rung, self._rung = self._rung, set()
        for label in rung:
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
    except Exception as error:  # noqa: BLE001 - a doorbell that does not ring must not fail the command that rang it
        log.warning("doorbell_failed", app=label, error=str(error))


_notifier = Notifier()


def notify(label: str) -> None:
    """Ask for this app's outbox to be pumped."""
    global _notifier
    if _notifier._pid != os.getpid():
        _notifier = Notifier()
    _notifier.notify(label)


def _flush_at_exit(*_: Any) -> None:
    if _notifier._pid == os.getpid():
        _notifier.flush()


atexit.register(_flush_at_exit)

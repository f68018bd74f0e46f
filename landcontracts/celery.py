"""Celery, for the relay's notifications and the schedule. It carries no event; losing the broker only delays them."""

from __future__ import annotations

import os
import sys
from contextvars import Token
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, setup_logging, task_postrun, task_prerun

from apps.core import parent
from apps.core.observability import identity, multiprocess

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
if "celery" in Path(sys.argv[0]).parts[-2:]:
    # A worker with a metrics port of its own is scraped separately; one without shares its web server's metrics.
    (multiprocess.leave if os.environ.get("WORKER_METRICS") else multiprocess.join)()
app = Celery("landcontracts")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
_running: dict[str, Token[identity.Identity | None]] = {}
_imported_by = os.getpid()  # the worker, whose children are forked: a scheduler asks too late who started it


def _logs_are_djangos(**_: Any) -> None:
    """Do nothing: a connected handler keeps Celery from setting its own levels and formats."""


def _begins(task_id: str, task: Any, **_: Any) -> None:
    """Identify the task's log lines by its id, until it works for a request."""
    _running[task_id] = identity.begin(task_id, "", task=task.name)


def _ends(task_id: str, **_: Any) -> None:
    if (token := _running.pop(task_id, None)) is not None:
        identity.end(token)


def _beat_begins(**_: Any) -> None:
    """The scheduler in a worker is a process of its own: one whose worker was killed would go on beside the next."""
    parent.end_with(os.getppid() if _imported_by == os.getpid() else _imported_by)


setup_logging.connect(_logs_are_djangos)
beat_embedded_init.connect(_beat_begins)
task_prerun.connect(_begins)
task_postrun.connect(_ends)

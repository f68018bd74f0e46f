"""A Celery worker's task metrics, on a port of its own (WORKER_METRICS), so that a scrape shows a dead worker.

The worker must use threads (`-P threads`), because each process of a pool would count separately. Without a port a
worker shares its web server's directory (`observability/multiprocess.py`), as under `manage.py serve`.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery import signals
from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from apps.core.observability import seam_metrics

BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600)
tasks = Counter("celery_tasks_total", "Tasks that ended, by how", ("task", "state"))
task_seconds = Histogram("celery_task_seconds", "Time that a task took", ("task",), buckets=BUCKETS)
succeeded = Gauge(
    "celery_task_succeeded_timestamp_seconds",
    "When a task last ended well; the clock starts core.pump_all each second",
    ("task",),
    multiprocess_mode="livemax",
)
log = structlog.get_logger(__name__)


def connect() -> None:
    """Measure from now on; in a process that is no worker this has no effect."""
    signals.task_prerun.connect(_begins)
    signals.task_postrun.connect(_ended)
    signals.worker_ready.connect(_is_ready)


def _begins(task: Any, **_: Any) -> None:
    task.request.measured_from = time.monotonic()


def _ended(task: Any, state: str | None = None, **_: Any) -> None:
    tasks.labels(task.name, state or "UNKNOWN").inc()
    started = getattr(task.request, "measured_from", None)
    if started is not None:
        task_seconds.labels(task.name).observe(time.monotonic() - started)
    if state == "SUCCESS":
        succeeded.labels(task.name).set_to_current_time()


def _is_ready(**_: Any) -> None:
    seam_metrics.keep_fresh()
    if not settings.WORKER_METRICS:
        return
    host, _, port = settings.WORKER_METRICS.rpartition(":")
    try:
        start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1")
    except (OSError, ValueError) as error:  # events are delivered all the same; a scrape shows the target as down
        log.error("worker_not_measured", address=settings.WORKER_METRICS, error=str(error))

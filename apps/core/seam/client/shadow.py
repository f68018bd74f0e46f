"""Sends answered queries to the other side as well, off the caller's path, to compare the answers.

Here: the bounded queue and the thread that empties it. Not here: comparing (`comparison.py`) and storing, which the
control plane's recorder does; a process without a recorder shadows nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from typing import NamedTuple

import msgspec
import structlog
from django.conf import settings
from django.db import close_old_connections
from prometheus_client import Counter

from apps.core.interface.context import CallContext
from apps.core.interface.errors import RemoteCallFailed
from apps.core.interface.operations import Operation
from apps.core.observability import seam_metrics, spans
from apps.core.seam.answer import Answer
from apps.core.seam.client.comparison import Failure, Finding, Verdict, compare
from apps.core.seam.client.transports import Transport

MAX_BATCH = 100
# Samples are collected, then compared in a row: a thread that woke up for each would take the interpreter from the
# callers.
COLLECT_SECONDS = 0.25
TIMEOUT_MS = 5_000
log = structlog.get_logger(__name__)


class Sample(NamedTuple):
    """A query that one side has answered, to be sent to the other; `seconds` as its caller waited."""

    operation: Operation
    ctx: CallContext
    arguments: bytes
    answer: Answer
    side: str
    seconds: float


class Compared(NamedTuple):
    """A sample, the seconds that the other side took, and the finding."""

    sample: Sample
    other_seconds: float
    finding: Finding


Recorder = Callable[[Sequence[Compared]], None]
Sides = Callable[[str, str], Transport]


class Shadow:
    """One per process. The queue is bounded: samples that do not fit are dropped and counted."""

    def __init__(self, record: Recorder, sides: Sides) -> None:
        self.pid = os.getpid()
        self.record = record
        self.sides = sides
        self._queue: SimpleQueue[Sample] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._count = 0

    def put(self, sample: Sample) -> None:
        """Queue a sample if there is room. Never waits."""
        if self._queue.qsize() >= settings.SEAM_SHADOW_QUEUE:
            seam_metrics.shadow_dropped.labels(sample.operation.service, sample.operation.name).inc()
            return
        self._queue.put(sample)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        moment = threading.Event()
        while True:
            first = self._queue.get()
            moment.wait(COLLECT_SECONDS)
            self.drain(first)

    def drain(self, *taken: Sample) -> int:
        """Compare and record the waiting samples on this thread; returns their number."""
        samples = list(taken)
        while len(samples) < MAX_BATCH:
            try:
                samples.append(self._queue.get_nowait())
            except Empty:
                break
        if samples:
            try:
                self.record([result for sample in samples if (result := self._compared_or_lost(sample)) is not None])
            except Exception as error:  # noqa: BLE001 - an error of the shadow must not stop its thread
                seam_metrics.shadow_lost.inc(len(samples))
                log.warning("shadow_not_recorded", error=repr(error), count=len(samples))
            finally:
                close_old_connections()
        return len(samples)

    def _compared_or_lost(self, sample: Sample) -> Compared | None:
        """Compare one sample; None when that fails, so that the other samples are still compared."""
        try:
            return self._compare(sample)
        except Exception as error:  # noqa: BLE001 - as above
            seam_metrics.shadow_lost.inc()
            operation = sample.operation
            log.warning(
                "shadow_not_compared",
                app=operation.service,
                method=operation.name,
                request_id=sample.ctx.request_id,
                error=repr(error),
            )
            return None

    def _compare(self, sample: Sample) -> Compared:
        operation = sample.operation
        primary = self.sides(operation.service, sample.side)
        other = self.sides(operation.service, "away" if sample.side == "home" else "home")
        spent: list[float] = []

        def ask_other() -> Answer | Failure:
            started = time.perf_counter()
            answer = _ask(other, sample)
            spent.append(time.perf_counter() - started)
            return answer

        self._count += 1
        twice = self._count % settings.SEAM_SHADOW_TWICE_EACH == 0
        finding = compare(operation, sample.answer, ask_other, lambda: _ask(primary, sample), always_twice=twice)
        _counters(operation.service, operation.name)[finding.verdict].inc()
        return Compared(sample, spent[0], finding)


@cache
def _counters(service: str, method: str) -> dict[Verdict, Counter]:
    """The counters of all verdicts, created together: a series that begins with its first mismatch has no rate."""
    return {verdict: seam_metrics.shadow_compared.labels(service, method, verdict.value) for verdict in Verdict}


def _ask(side: Transport, sample: Sample) -> Answer | Failure:
    """Send the query again, with a time limit of its own and no shadowing."""
    # The request has its answer already, so its trace does not include this call.
    trace = spans.unsampled(sample.ctx.trace)
    ctx = msgspec.structs.replace(sample.ctx.renewed(timeout_ms=TIMEOUT_MS), shadow=(), trace=trace)
    try:
        return side.send(sample.operation, ctx, sample.arguments)
    except RemoteCallFailed as failure:
        return Failure(f"{failure.kind.value}: {failure}")
    except Exception as failure:  # noqa: BLE001 - a fault of a side is a finding about it
        return Failure(type(failure).__name__)


_shadow: Shadow | None = None


def publish_to(record: Recorder, sides: Sides) -> None:
    """Compare in this process from now on: `sides` gives the transport of a side, `record` stores the findings."""
    global _shadow
    _shadow = Shadow(record, sides)


def current() -> Shadow | None:
    """This process's shadow; created anew after a fork, which does not inherit threads."""
    global _shadow
    if _shadow is not None and _shadow.pid != os.getpid():
        _shadow = Shadow(_shadow.record, _shadow.sides)
    return _shadow


def offer(operation: Operation, ctx: CallContext, arguments: bytes, answer: Answer, side: str, seconds: float) -> None:
    """Queue a query that was just answered for the other side."""
    shadow = current()
    if shadow is not None:
        shadow.put(Sample(operation, ctx, arguments, answer, side, seconds))

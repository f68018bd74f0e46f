"""Collects figures of databases and servers at each scrape; any process that is scraped gives the same ones.

Each collector runs in a thread of its own, and all together have half a second. One whose database is down delays no
other: `metrics_source_up` reports that its figures are unknown, and they are absent rather than old.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from typing import NamedTuple, Protocol

import structlog
from django.db import connections
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily

PATIENCE_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Collector(Protocol):
    """Yields metric families. Those yielded before an exception are used."""

    def collect(self) -> Iterable[Metric]:
        """Read the figures now."""
        ...


class _Answer(NamedTuple):
    families: list[Metric]
    is_whole: bool
    seconds: float


class _Source:
    """One collector, run once at a time: simultaneous scrapes share its answer."""

    def __init__(self, name: str, collector: Collector) -> None:
        self.name = name
        self.collector = collector
        self._asking: Future[_Answer] | None = None
        self._process = 0
        self._lock = threading.Lock()

    def ask(self) -> Future[_Answer]:
        """The pending answer, or that of a new run."""
        with self._lock:
            is_ours = self._process == os.getpid()  # a fork has none of its parent's threads
            if self._asking is None or self._asking.done() or not is_ours:
                self._asking, self._process = Future(), os.getpid()
                threading.Thread(
                    target=self._run, args=(self._asking,), name=f"metrics-{self.name}", daemon=True
                ).start()
            return self._asking

    def _run(self, asking: Future[_Answer]) -> None:
        started = time.perf_counter()
        families: list[Metric] = []
        is_whole = True
        try:
            families.extend(self.collector.collect())
        except Exception as error:  # noqa: BLE001 - after any error its figures are unknown
            is_whole = False
            log.warning("metrics_not_known", source=self.name, error=repr(error))
        finally:
            asking.set_result(_Answer(families, is_whole, time.perf_counter() - started))
            connections.close_all()


class ScrapeRegistry:
    """The collectors of this process."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._sources: list[_Source] = []

    def register(self, collector: Collector, source: str = "") -> None:
        """Add a collector. `source` is its name in `metrics_source_up`, by default that of its class."""
        self._sources.append(_Source(source or _named_after(collector), collector))

    def collect(self) -> Iterator[Metric]:
        """All figures read in time, and which sources gave them."""
        up = GaugeMetricFamily("metrics_source_up", "Whether a source answered a scrape in time", labels=["source"])
        spent = GaugeMetricFamily("metrics_source_seconds", "How long it took to answer", labels=["source"])
        asking = {source.name: source.ask() for source in self._sources}
        wait(asking.values(), timeout=self._patience)
        merged: dict[str, Metric] = {}
        for name, future in asking.items():
            answer = future.result() if future.done() else _Answer([], is_whole=False, seconds=self._patience)
            up.add_metric([name], answer.is_whole)
            spent.add_metric([name], answer.seconds)
            for family in answer.families:  # several sources may each know a part of one family
                metric = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                metric.samples.extend(family.samples)
        yield from (*merged.values(), up, spent)

    def exposition(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self)


def _named_after(collector: Collector) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", type(collector).__name__.removesuffix("Collector"))
    return words.lower()


_of_this_process = ScrapeRegistry()


def register(collector: Collector, source: str = "") -> None:
    """Run a collector at every scrape. `source` is its name in `metrics_source_up`, by default that of its class."""
    _of_this_process.register(collector, source)


def exposition() -> bytes:
    """The present figures of this process's collectors, in Prometheus' text format."""
    return _of_this_process.exposition()

"""Seam metrics: calls and their time by service, method, side and outcome."""

from __future__ import annotations

import atexit
import os
import threading

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
MAX_BATCH = 64
FRESH_SECONDS = 0.5
LABELS = ("service", "method", "side", "outcome")
# Drop the second series beside each counter, which is never read.
disable_created_metrics()
calls = Histogram("seam_call_seconds", "Time of a seam call as its caller sees it", LABELS, buckets=BUCKETS)
served = Counter(
    "seam_served_total",
    "Calls answered by the seam endpoint, refused and failed ones as well; unknown labels are empty",
    ("service", "method", "status"),
)
remote_failures = Counter(
    "seam_remote_failures_total", "Attempts without a whole answer", ("service", "method", "kind")
)
retries = Counter("seam_retries_total", "Attempts made again", ("service", "method"))
fallbacks = Counter("seam_fallbacks_total", "Calls that the local side answered instead", ("service", "method", "kind"))
breaker_open = Gauge(
    "seam_breaker_open", "1 while a service's circuit breaker is open", ("service",), multiprocess_mode="livemax"
)
breaker_opened = Counter("seam_breaker_opened_total", "Times that a circuit breaker opened", ("service",))
shadow_compared = Counter("seam_shadow_compared_total", "Queries sent to both sides", ("service", "method", "verdict"))
shadow_dropped = Counter(
    "seam_shadow_dropped_total", "Samples dropped because the queue was full", ("service", "method")
)
shadow_lost = Counter("seam_shadow_lost_total", "Comparisons that could not be stored")
delivered = Counter("seam_events_delivered_total", "Deliveries of events", ("service", "consumer", "outcome"))


class Meter:
    """The histograms of one operation. Times are observed in batches: singly they cost ten times as much."""

    def __init__(self, service: str, method: str) -> None:
        self._labels = (service, method)
        self._waiting: dict[tuple[str, str], list[float]] = {}
        _meters.append(self)

    def observe(self, side: str, outcome: str, seconds: float) -> None:
        """Record one call."""
        waiting = self._waiting.get((side, outcome))
        if waiting is None:
            waiting = self._waiting.setdefault((side, outcome), [])
        waiting.append(seconds)
        if len(waiting) >= MAX_BATCH:
            self.flush()

    def flush(self) -> None:
        """Observe the waiting times."""
        for (side, outcome), waiting in list(self._waiting.items()):
            child = calls.labels(*self._labels, side, outcome)
            while waiting:  # another thread may take from the same list
                try:
                    seconds = waiting.pop()
                except IndexError:
                    break
                child.observe(seconds)


_meters: list[Meter] = []


@atexit.register
def flush() -> None:
    """Observe all waiting times of this process, before its metrics are read."""
    for meter in _meters:
        meter.flush()


def keep_fresh() -> None:
    """Observe waiting times twice a second, for a process whose metrics another one or another module exposes."""

    def run() -> None:
        pause = threading.Event()
        while not pause.wait(FRESH_SECONDS):
            flush()

    if _freshened != [os.getpid()]:
        _freshened[:] = [os.getpid()]
        threading.Thread(target=run, name="metrics", daemon=True).start()


_freshened: list[int] = []

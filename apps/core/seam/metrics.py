"""Seam metrics: calls and their time by service, method, side and outcome."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
LABELS = ("service", "method", "side", "outcome")
calls = Histogram("seam_call_seconds", "Time of a seam call as its caller sees it", LABELS, buckets=BUCKETS)
served = Counter("seam_served_total", "Calls answered by the seam endpoint", ("service", "method", "status"))
delivered = Counter("seam_events_delivered_total", "Deliveries of events", ("service", "consumer", "outcome"))
outbox_age = Gauge(
    "seam_outbox_oldest_seconds", "Age of the oldest undelivered event", ("service",), multiprocess_mode="mostrecent"
)


class Meter:
    """The histograms of one operation; label look-ups cost more than the observation, so children are kept."""

    def __init__(self, service: str, method: str) -> None:
        self._labels = (service, method)
        self._children: dict[tuple[str, str], Histogram] = {}

    def observe(self, side: str, outcome: str, seconds: float) -> None:
        """Record one call."""
        child = self._children.get((side, outcome))
        if child is None:
            child = self._children[side, outcome] = calls.labels(*self._labels, side, outcome)
        child.observe(seconds)

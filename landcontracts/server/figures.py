"""The server's own metrics: refused requests, and connections.

They are created when a process has joined its directory of metrics, so after `landcontracts.wsgi` has been loaded.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge

shed = Counter("web_shed", "Requests refused because they would have waited too long for a thread", ("lane",))
refused = Counter("web_refused", "Requests that the web server refused before the application", ("status",))
most_connections = Gauge(
    "web_connections_max", "Connections past which one that waits for its client is closed", multiprocess_mode="livesum"
)
connections = Gauge("web_connections", "Open connections", multiprocess_mode="livesum")


@cache
def refused_with(status: int) -> Counter:
    """The counter of a status; kept, because an overload asks for it thousands of times a second."""
    return refused.labels(str(status))

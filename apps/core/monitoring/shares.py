"""The shares of people that the flags route to lifted-out services."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from apps.core import topology
from apps.core.flags import snapshot

KINDS = ("remote", "shadow")


class ShareCollector:
    """The flags of every service, as in this process's snapshot."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`seam_route_percent{service,kind}`: 100 where a flag is on for everyone; listed people are not counted."""
        family = GaugeMetricFamily(
            "seam_route_percent",
            "Share of people whose calls go to the lifted-out process (remote) or are asked of both sides (shadow)",
            labels=["service", "kind"],
        )
        flags = snapshot.current()
        for service in topology.entries():
            for kind in KINDS:
                state = flags.get(f"{service}_{kind}", snapshot.OFF)
                percent = state.percent if state.everyone is None else 100 * state.everyone
                family.add_metric([service, kind], percent)
        yield family

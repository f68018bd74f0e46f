"""The epochs of a service's two fences: each leader has its own, and the databases refuse every older one."""

from __future__ import annotations

from apps.core.postgres import fences
from apps.extraction.state.checks import ActionFailed
from apps.extraction.state.stages import Pair


class StaleEpoch(ActionFailed):
    """Another process leads this service now: the fence holds another epoch."""


def highest(pair: Pair) -> int:
    """The highest epoch in either database."""
    return max(fences.epoch(pair.shared, pair.service), fences.epoch(pair.own, pair.service))


def take(pair: Pair) -> int:
    """Allocate an epoch and raise both fences to it: from now on both databases refuse every earlier leader."""
    epoch = fences.allocate(pair.shared, pair.service, highest(pair))
    for connection in (pair.own, pair.shared):
        fences.raise_epoch(connection, pair.service, epoch)
    return epoch


def renew(pair: Pair, held: int) -> int:
    """Allocate the next epoch for a leader that still leads: no request under its earlier epoch takes effect any more.

    Raises: StaleEpoch when another process has taken an epoch meanwhile.
    """
    with pair.shared.transaction():
        row = pair.shared.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [pair.service]
        ).fetchone()
        if row is None or int(row[0]) != held:
            raise StaleEpoch(f"{pair.service}: epoch {held} is stale")
        epoch = fences.allocate(pair.shared, pair.service, held)
    fences.raise_epoch(pair.own, pair.service, epoch)
    return epoch

"""The epochs of a service's two fences: a leader works under one of its own, and the databases refuse every older one."""

from __future__ import annotations

from apps.core.postgres import fences
from apps.extraction.state.checks import ActionFailed
from apps.extraction.state.stages import Pair


class StaleEpoch(ActionFailed):
    """Another process leads this service now: the fence has another epoch."""


def highest(found: Pair) -> int:
    """The highest epoch that either database knows."""
    return max(fences.epoch(found.shared, found.service), fences.epoch(found.own, found.service))


def take(found: Pair) -> int:
    """An epoch of our own, known to both databases: an earlier leader is refused from here on, in whatever it was doing."""
    epoch = fences.allocate(found.shared, found.service, highest(found))
    for connection in (found.own, found.shared):
        fences.raise_epoch(connection, found.service, epoch)
    return epoch


def renew(found: Pair, held: int) -> int:
    """The next epoch of a leader who still leads, so that nothing it has asked for before is done any more.

    Raises: StaleEpoch when another process has taken one meanwhile.
    """
    with found.shared.transaction():
        row = found.shared.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [found.service]
        ).fetchone()
        if row is None or int(row[0]) != held:
            raise StaleEpoch(f"{found.service}: epoch {held} was overtaken")
        epoch = fences.allocate(found.shared, found.service, held)
    fences.raise_epoch(found.own, found.service, epoch)
    return epoch

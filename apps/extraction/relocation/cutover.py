"""The cutover itself and its way back: one procedure in two directions, and what is done about one that was left half-way.

    1  the old home, one transaction: lock, revoke, mark, commit. From here on nobody can write.
    2  the new home: wait for the mark; one transaction: check the epoch, set the sequences, grant, commit.

Whatever dies in between leaves the fence of the old home closed under an epoch, and from that, and from where the mark has arrived, it
is known which database holds every write. Nothing else is remembered anywhere.
"""

from __future__ import annotations

import random
import time
from typing import NamedTuple

import psycopg

from apps.core.postgres import connections, fences, replication
from apps.extraction.relocation import access
from apps.extraction.state import stages
from apps.extraction.state.journal import Journal
from apps.extraction.state.stages import SHARED, Pair

MARKER_SECONDS = 0.08
MAX_ATTEMPTS = 40
RESUME_SECONDS = 10


class NotSwitched(Exception):
    """It could not be done, and everything is as it was."""


class Switched(NamedTuple):
    """How long nobody could write, all attempts together, and how many there were."""

    epoch: int
    pause_ms: float
    attempts: int


def keep_way_back(found: Pair) -> None:
    """From now on the shared database follows the service's own, as soon as people write there."""
    service, name = found.service, stages.back_name(found.service)
    tables = replication.tables_of(found.own, service)
    slot = replication.slot(found.own, name)
    is_there = replication.is_subscribed(found.shared, name) and slot is not None and not slot.is_lost
    if is_there and set(tables) == replication.published(found.own, name):
        return
    drop_way_back(found)
    # Nobody ever empties a service's table; what empties a copy must not travel to the home.
    replication.publish(found.own, name, tables, marker=replication.marker_of(service), what="insert, update, delete")
    with connections.replicator(service) as slots:
        replication.keep_slot(slots, "", name)
    replication.subscribe(found.shared, name, connections.address(service))


def drop_way_back(found: Pair) -> None:
    """Nothing is followed back any more."""
    name = stages.back_name(found.service)
    replication.unsubscribe(found.shared, name)
    with connections.replicator(found.service) as slots:
        replication.drop_slot(slots, name)
    replication.unpublish(found.own, name)


def switch(found: Pair, origin: str, journal: Journal, epoch: int) -> Switched:
    """Close `origin`, open the other, under an epoch that was taken with the lead, before anything was checked.

    Raises: NotSwitched, gate.Overtaken.
    """
    service = found.service
    old, new = access.gate(found.side(origin), service), access.gate(found.side(found.other(origin)), service)
    paused = 0.0
    for attempt in range(1, MAX_ATTEMPTS + 1):
        began, is_closed = time.monotonic(), False
        with journal.quietly():
            try:
                with journal.step("close", f"epoch {epoch}"):
                    sequences = access.close(old, epoch)
                is_closed = True
                with journal.step("marker"):
                    replication.await_marker(new.connection, service, access.MARKER, epoch, seconds=MARKER_SECONDS)
                is_closed = False
                with journal.step("open"):
                    access.open_up(new, epoch, sequences, closed=epoch, has_to_be_filled=origin == SHARED)
                paused += time.monotonic() - began
                return Switched(epoch, round(paused * 1000, 2), attempt)
            except psycopg.errors.LockNotAvailable:
                problem = "somebody held a table for more than 50 ms"
            except replication.TooSlow as error:
                problem = str(error)
                epoch = go_back(found, origin, epoch)
            except psycopg.OperationalError as error:
                if not is_closed or new.connection.broken is False:
                    raise
                # The new home went away before it was asked to open. Nobody but this process has this epoch, so nobody will.
                access.open_up(old, epoch, {}, closed=0)
                raise NotSwitched(f"{found.other(origin)} went away: {error}") from error
            paused += time.monotonic() - began
        journal.note(attempts=attempt, pause_ms=round(paused * 1000, 2))
        time.sleep(random.uniform(0.05, 0.25))
    raise NotSwitched(f"{problem}, {MAX_ATTEMPTS} times")


def go_back(found: Pair, origin: str, held: int) -> int:
    """Open the old home again, after everybody who might still open the new one is shut out there. The epoch from now on.

    `held` is the epoch that this leader has. Raises: NotSwitched when the new one is open already, gate.Overtaken.
    """
    epoch = renew(found, held)
    other = found.side(found.other(origin))
    if access.raise_unless_open(other, found.service, epoch):
        raise NotSwitched(f"{found.other(origin)} is the home already")
    access.open_up(access.gate(found.side(origin), found.service), epoch, {}, closed=0)
    return epoch


def left_by(found: Pair) -> str | None:
    """The alias of the database that a cutover under way has closed, or None where there is none."""
    sides = [stages.side(found.side(alias), found.service, alias) for alias in (SHARED, found.service)]
    if any(one.is_writable for one in sides) or not any(one.closed for one in sides):
        return None
    return max(sides, key=lambda one: one.closed).alias


def go_on(found: Pair, journal: Journal, epoch: int) -> str:
    """Finish a cutover that was left: forward where every write has arrived, else back. The alias of the home."""
    origin = left_by(found)
    if origin is None:
        raise NotSwitched("no cutover was left half-way")
    service, target = found.service, found.other(origin)
    closed = stages.side(found.side(origin), service, origin).closed
    old, new = access.gate(found.side(origin), service), access.gate(found.side(target), service)
    with journal.step("marker", f"of epoch {closed}"):
        try:
            replication.await_marker(new.connection, service, access.MARKER, closed, seconds=RESUME_SECONDS)
        except replication.TooSlow:
            go_back(found, origin, epoch)
            return origin
    with journal.step("open", target):
        access.open_up(new, epoch, access.sequences_of(old), closed=closed, has_to_be_filled=origin == SHARED)
    return target


def take_epoch(found: Pair) -> int:
    """An epoch of our own, known to both databases: whoever led before is refused from here on, in whatever it was doing."""
    epoch = fences.allocate(found.shared, found.service, stages.epoch_of(found))
    for connection in (found.own, found.shared):
        fences.raise_epoch(connection, found.service, epoch)
    return epoch


def renew(found: Pair, held: int) -> int:
    """The next epoch of a leader who still leads, so that nothing it has asked for before is done any more.

    Raises: gate.Overtaken when somebody else has taken one meanwhile.
    """
    with found.shared.transaction():
        row = found.shared.execute(
            "SELECT epoch FROM extraction.fence WHERE service = %s FOR UPDATE", [found.service]
        ).fetchone()
        if row is None or int(row[0]) != held:
            raise access.Overtaken(f"{found.service}: epoch {held} was overtaken")
        epoch = fences.allocate(found.shared, found.service, held)
    fences.raise_epoch(found.own, found.service, epoch)
    return epoch

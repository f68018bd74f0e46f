"""One synchronisation between two servers: its names, publication, subscription, slots and lag."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from apps.core.database import primaries
from apps.core.postgres import connections, fences, replication
from apps.core.postgres.connections import Connection
from apps.datasync.interface import AlreadyMoved, NoTarget

SHARED = primaries.SHARED


class Line(NamedTuple):
    """A stream from the shared database to a service's own; publication, slot and subscription share one name."""

    service: str
    name: str
    is_whole: bool

    @property
    def marker(self) -> str:
        """The name of this line's heartbeats."""
        return self.name


class Ends(NamedTuple):
    """Control connections to both ends, and the replicator's connection to the source, which may manage slots."""

    source: Connection
    target: Connection
    slots: Connection


def line_of(service: str, table: str, sync_id: UUID) -> Line:
    """A whole service has one line; a single table has one per synchronisation."""
    return Line(service, f"{replication.OF_ONE_TABLE}{sync_id.hex[:16]}" if table else f"lc_{service}", not table)


def require_target(service: str) -> None:
    """Raise NoTarget unless the service has a database of its own that this process may control."""
    if not (primaries.is_movable(service) and connections.is_configured(service) and connections.is_configured(SHARED)):
        raise NoTarget(service=service)


def require_primary(service: str) -> None:
    """Raise AlreadyMoved unless the service's data are in the shared database."""
    if primaries.database_of(service) != SHARED:
        raise AlreadyMoved(service=service)


@contextlib.contextmanager
def connect(service: str) -> Iterator[Ends]:
    """Connect to both ends of a service's line. Raises: NoTarget, psycopg.OperationalError."""
    require_target(service)
    with contextlib.ExitStack() as stack:
        yield Ends(
            stack.enter_context(connections.control(SHARED)),
            stack.enter_context(connections.control(service)),
            stack.enter_context(connections.replicator(SHARED)),
        )


def begin(ends: Ends, line: Line, tables: Sequence[str]) -> None:
    """Publish the tables. For a whole service, DDL on its tables is refused on both sides from now on."""
    for connection in (ends.source, ends.target):
        replication.make_marker(connection, line.service)
        if line.is_whole:
            fences.set_moving(connection, line.service, moving=True)
    replication.publish(ends.source, line.name, tables, marker=replication.marker_of(line.service))


def follow(ends: Ends, line: Line, temporary_slot: str) -> None:
    """Apply every change since the temporary slot was created to the target."""
    replication.drop_slot(ends.slots, line.name)
    replication.keep_slot(ends.slots, temporary_slot, line.name)
    replication.subscribe(ends.target, line.name, connections.address(SHARED))


def is_following(ends: Ends, line: Line) -> bool:
    """Whether the subscription and its slot exist, so that following can continue."""
    if not replication.is_subscribed(ends.target, line.name):
        return False
    slot = replication.slot(ends.slots, line.name)
    return slot is not None and not slot.is_lost


def end(ends: Ends, line: Line) -> list[str]:
    """Drop whichever subscription, slots and publication exist; return the names of the dropped slots."""
    replication.unsubscribe(ends.target, line.name)
    dropped = [name for name in (line.name, temporary(line)) if replication.drop_slot(ends.slots, name)]
    replication.unpublish(ends.source, line.name)
    if line.is_whole and fences.is_writable(ends.source, line.service):
        for connection in (ends.source, ends.target):
            fences.set_moving(connection, line.service, moving=False)
    return dropped


def drop_strays(wanted: Callable[[], set[str]]) -> tuple[str, ...]:
    """Drop unused slots of the shared database. They are listed before `wanted` is called, so that new ones stay."""
    if not connections.is_configured(SHARED):
        return ()
    with connections.replicator(SHARED) as slots:
        rows = slots.execute(
            "SELECT slot_name FROM pg_replication_slots"
            " WHERE slot_name LIKE 'lc\\_%' AND database = current_database() AND NOT temporary"
        ).fetchall()
        strays = sorted({str(name) for (name,) in rows} - (wanted() if rows else set()))
        return tuple(name for name in strays if replication.drop_slot(slots, name))


def temporary(line: Line) -> str:
    """The name of the slot that exists while rows are copied."""
    return f"{line.name}_copy"


def verifying_slot(service: str) -> str:
    """The name of the slot from which changed rows are read for comparison."""
    return f"lc_{service}_verify"


def lag(ends: Ends, line: Line) -> replication.Slot | None:
    """The line's slot, which says how far the target is behind the source's log."""
    return replication.slot(ends.slots, line.name)

"""The names and the doing of one synchronisation between two servers: what is published, what is followed, how far it is."""

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
    """From the shared database to a service's own. Publication, slot and subscription have one name."""

    service: str
    name: str
    is_whole: bool

    @property
    def marker(self) -> str:
        """The name of this line's beats."""
        return self.name


class Ends(NamedTuple):
    """Control connections to both ends, and the replicator's to the source, which may handle slots."""

    source: Connection
    target: Connection
    slots: Connection


def line_of(service: str, table: str, sync_id: UUID) -> Line:
    """A whole service has one line; a table by itself a line per synchronisation."""
    return Line(service, f"lc_sync_{sync_id.hex[:16]}" if table else f"lc_{service}", not table)


def require_target(service: str) -> None:
    """Raise NoTarget unless the service has a database of its own that this process can lead."""
    if not (primaries.is_movable(service) and connections.is_configured(service) and connections.is_configured(SHARED)):
        raise NoTarget(service=service)


def require_primary(service: str) -> None:
    """Raise AlreadyMoved unless the service's data are in the shared database."""
    if primaries.database_of(service) != SHARED:
        raise AlreadyMoved(service=service)


@contextlib.contextmanager
def ends(service: str) -> Iterator[Ends]:
    """Connections to both ends of a service's line. Raises: NoTarget, psycopg.OperationalError."""
    require_target(service)
    with contextlib.ExitStack() as stack:
        yield Ends(
            stack.enter_context(connections.control(SHARED)),
            stack.enter_context(connections.control(service)),
            stack.enter_context(connections.replicator(SHARED)),
        )


def begin(found: Ends, line: Line, tables: Sequence[str]) -> None:
    """Publish the tables. A whole service's keep their shape from now on, on both sides."""
    for connection in (found.source, found.target):
        replication.make_marker(connection, line.service)
        if line.is_whole:
            fences.set_moving(connection, line.service, moving=True)
    replication.publish(found.source, line.name, tables, marker=replication.marker_of(line.service))


def follow(found: Ends, line: Line, temporary_slot: str) -> None:
    """From the slot's first moment on, apply every change to the target."""
    replication.drop_slot(found.slots, line.name)
    replication.keep_slot(found.slots, temporary_slot, line.name)
    replication.subscribe(found.target, line.name, connections.address(SHARED))


def is_following(found: Ends, line: Line) -> bool:
    """Whether both ends are there to go on from."""
    if not replication.is_subscribed(found.target, line.name):
        return False
    slot = replication.slot(found.slots, line.name)
    return slot is not None and not slot.is_lost


def end(found: Ends, line: Line) -> list[str]:
    """Take everything down, on whatever there is; the names of the slots that were dropped."""
    replication.unsubscribe(found.target, line.name)
    dropped = [name for name in (line.name, temporary(line)) if replication.drop_slot(found.slots, name)]
    replication.unpublish(found.source, line.name)
    if line.is_whole and fences.is_writable(found.source, line.service):
        for connection in (found.source, found.target):
            fences.set_moving(connection, line.service, moving=False)
    return dropped


def drop_strays(wanted: Callable[[], set[str]]) -> tuple[str, ...]:
    """Drop our slots of the shared database that nobody wants. They are listed before it is asked who is wanted."""
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
    """The name of the slot under which rows are copied."""
    return f"{line.name}_copy"


def verifying_slot(service: str) -> str:
    """The name of the slot by which changed rows are compared."""
    return f"lc_{service}_verify"


def lag(found: Ends, line: Line) -> replication.Slot | None:
    """How far the target is behind, by the source's log."""
    return replication.slot(found.slots, line.name)

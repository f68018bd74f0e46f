"""The cutover itself and its way back: one procedure in two directions, and what is done about one that was left half-way.

    1  the old primary, one transaction: lock, revoke, mark, commit. From here on nobody can write.
    2  the new primary: wait for the mark; one transaction: check the epoch, set the sequences, grant, commit.

Whatever dies in between leaves the fence of the old primary closed under an epoch, and from that, and from where the mark has arrived, it
is known which database holds every write. Nothing else is remembered anywhere.
"""

from __future__ import annotations

import random
import time
from functools import partial

import psycopg
from django.utils.translation import gettext_lazy as _

from apps.core.postgres import connections, replication
from apps.extraction.relocation import access
from apps.extraction.state import epochs, stages
from apps.extraction.state.action import Run, Step
from apps.extraction.state.checks import ActionFailed
from apps.extraction.state.stages import SHARED, Pair

MARKER_SECONDS = 0.08
MAX_ATTEMPTS = 40
RESUME_SECONDS = 10
CLOSE = Step(
    "close",
    _("close: in one transaction lock every table, take every right from the platform's roles, write a marker"),
)
MARKER = Step("marker", _("marker: wait until the marker, and with it every write before it, is in the other database"))
OPEN = Step("open", _("open: in one transaction check the epoch, set the sequences, give the rights"))
LEFT_MARKER = Step("marker", _("marker: wait until every write has arrived"))
LEFT_OPEN = Step("open", _("open: the database that has them"))


class NotSwitched(ActionFailed):
    """It could not be done, and everything is as it was."""


def keep_way_back(found: Pair) -> None:
    """From now on the shared database follows the service's own, as soon as people write there."""
    service, name = found.service, stages.back_name(found.service)
    tables = replication.tables_of(found.own, service)
    slot = replication.slot(found.own, name)
    is_there = replication.is_subscribed(found.shared, name) and slot is not None and not slot.is_lost
    if is_there and set(tables) == replication.published(found.own, name):
        return
    drop_way_back(found)
    # Nobody ever empties a service's table; what empties a copy must not travel to the primary.
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


def switch(run: Run, origin: str) -> None:
    """Close `origin`, open the other, under an epoch that was taken with the lead, before anything was checked.

    Epoch, attempts and the write pause of all attempts together stand in the record. Raises: NotSwitched, StaleEpoch.
    """
    found, service, epoch, paused = run.found, run.service, run.epoch, 0.0
    old, new = access.gate(found.side(origin), service), access.gate(found.side(found.other(origin)), service)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        began, is_closed = time.monotonic(), False
        with run.quietly():
            try:
                sequences = run.do(CLOSE, partial(access.close, old, epoch), f"epoch {epoch}")
                is_closed = True
                run.do(MARKER, partial(_await_marker, new, epoch, MARKER_SECONDS))
                is_closed = False
                run.do(OPEN, partial(_open, new, epoch, sequences or {}, epoch, origin))
                pause_ms = round((paused + time.monotonic() - began) * 1000, 2)
                break
            except psycopg.errors.LockNotAvailable:
                problem = "a table was held for more than 50 ms"
            except replication.TooSlow as error:
                problem = str(error)
                epoch = go_back(found, origin, epoch)
            except psycopg.OperationalError as error:
                if not is_closed or new.connection.broken is False:
                    raise
                # The new primary went away before it was asked to open. Only this process has this epoch, so it stays closed.
                access.open_up(old, epoch, {}, closed=0)
                raise NotSwitched(f"{found.other(origin)} went away: {error}") from error
            paused += time.monotonic() - began
        run.note(attempts=attempt, pause_ms=round(paused * 1000, 2))
        time.sleep(random.uniform(0.05, 0.25))
    else:
        raise NotSwitched(f"{problem}, {MAX_ATTEMPTS} times")
    run.note(epoch=epoch, attempts=attempt, pause_ms=pause_ms)
    run.tell(f"nobody could write for {pause_ms:.1f} ms, in {attempt} attempts")


def _await_marker(new: access.Gate, epoch: int, seconds: float) -> None:
    replication.await_marker(new.connection, new.service, access.MARKER, epoch, seconds=seconds)


def _open(new: access.Gate, epoch: int, sequences: access.Counts, closed: int, origin: str) -> None:
    access.open_up(new, epoch, sequences, closed=closed, has_to_be_filled=origin == SHARED)


def go_back(found: Pair, origin: str, held: int) -> int:
    """Open the old primary again, after everybody who might still open the new one is shut out there. The epoch from now on.

    `held` is the epoch that this leader has. Raises: NotSwitched when the new one is open already, StaleEpoch.
    """
    epoch = epochs.renew(found, held)
    other = found.side(found.other(origin))
    if access.raise_unless_open(other, found.service, epoch):
        raise NotSwitched(f"{found.other(origin)} is the primary already")
    access.open_up(access.gate(found.side(origin), found.service), epoch, {}, closed=0)
    return epoch


def left_by(found: Pair) -> str | None:
    """The alias of the database that a cutover under way has closed, or None where there is none."""
    sides = [stages.side(found.side(alias), found.service, alias) for alias in (SHARED, found.service)]
    if any(one.is_writable for one in sides) or not any(one.closed for one in sides):
        return None
    return max(sides, key=lambda one: one.closed).alias


def go_on(run: Run) -> str:
    """Finish a cutover that was left: forward where every write has arrived, else back. The alias of the primary."""
    found, service = run.found, run.service
    origin = left_by(found)
    if origin is None:
        raise NotSwitched("no cutover was left half-way")
    target = found.other(origin)
    closed = stages.side(found.side(origin), service, origin).closed
    old, new = access.gate(found.side(origin), service), access.gate(found.side(target), service)
    try:
        run.do(LEFT_MARKER, partial(_await_marker, new, closed, RESUME_SECONDS), f"of epoch {closed}")
    except replication.TooSlow:
        go_back(found, origin, run.epoch)
        return origin
    run.do(LEFT_OPEN, lambda: _open(new, run.epoch, access.sequences_of(old), closed, origin), target)
    return target

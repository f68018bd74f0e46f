"""The cutover and its way back: one procedure in two directions, and the recovery of a cutover that was left half-way.

    1  the old primary, one transaction: lock, revoke, mark, commit. From here on the platform cannot write.
    2  the new primary: wait for the mark; one transaction: check the epoch, set the sequences, grant, commit.

A process that dies in between leaves the fence of the old primary closed under an epoch. From the fence, and from
whether the mark has arrived, it follows which database holds every write. Nothing else is stored.
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
    """The cutover could not be done; the primary is the one it was before."""


def keep_way_back(pair: Pair) -> None:
    """Make the shared database follow the service's own, so that going back loses nothing."""
    service, name = pair.service, stages.back_name(pair.service)
    tables = replication.tables_of(pair.own, service)
    slot = replication.slot(pair.own, name)
    is_running = replication.is_subscribed(pair.shared, name) and slot is not None and not slot.is_lost
    if is_running and set(tables) == replication.published(pair.own, name):
        return
    drop_way_back(pair)
    # No truncate: the platform never empties a table, and the TRUNCATE of a copy must not reach the primary.
    replication.publish(pair.own, name, tables, marker=replication.marker_of(service), what="insert, update, delete")
    with connections.replicator(service) as slots:
        replication.keep_slot(slots, "", name)
    replication.subscribe(pair.shared, name, connections.address(service))


def drop_way_back(pair: Pair) -> None:
    """End replication from the service's own database to the shared one."""
    name = stages.back_name(pair.service)
    replication.unsubscribe(pair.shared, name)
    with connections.replicator(pair.service) as slots:
        replication.drop_slot(slots, name)
    replication.unpublish(pair.own, name)


def switch(run: Run, origin: str) -> None:
    """Close `origin` and open the other, under the epoch that was taken with the lead, before any check.

    Epoch, attempts and the write pause of all attempts together are noted in the record. Raises: NotSwitched,
    StaleEpoch.
    """
    pair, service, epoch, paused_seconds = run.pair, run.service, run.epoch, 0.0
    old, new = access.gate(pair.side(origin), service), access.gate(pair.side(pair.other(origin)), service)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        began, is_closed = time.monotonic(), False
        with run.quietly():
            try:
                sequences = run.do(CLOSE, partial(access.close, old, epoch), f"epoch {epoch}")
                is_closed = True
                run.do(MARKER, partial(_await_marker, new, epoch, MARKER_SECONDS))
                is_closed = False
                run.do(OPEN, partial(_open, new, epoch, sequences or {}, epoch, origin))
                pause_ms = round((paused_seconds + time.monotonic() - began) * 1000, 2)
                break
            except psycopg.errors.LockNotAvailable:
                problem = "a table was held for more than 50 ms"
            except replication.TooSlow as error:
                problem = str(error)
                epoch = go_back(pair, origin, epoch)
            except psycopg.OperationalError as error:
                if not is_closed or new.connection.broken is False:
                    raise
                # The new primary was lost before `open`. Only this process has this epoch, so it stays closed.
                access.open_up(old, epoch, {}, closed=0)
                raise NotSwitched(f"{pair.other(origin)} was lost: {error}") from error
            paused_seconds += time.monotonic() - began
        run.note(attempts=attempt, pause_ms=round(paused_seconds * 1000, 2))
        time.sleep(random.uniform(0.05, 0.25))
    else:
        raise NotSwitched(f"{problem}, {MAX_ATTEMPTS} times")
    run.note(epoch=epoch, attempts=attempt, pause_ms=pause_ms)
    run.write_line(f"writes waited {pause_ms:.1f} ms, in {attempt} attempts")


def _await_marker(new: access.Gate, epoch: int, seconds: float) -> None:
    replication.await_marker(new.connection, new.service, access.closing_marker(epoch), seconds=seconds)


def _open(new: access.Gate, epoch: int, sequences: access.Counts, closed: int, origin: str) -> None:
    access.open_up(new, epoch, sequences, closed=closed, has_to_be_filled=origin == SHARED)


def go_back(pair: Pair, origin: str, held: int) -> int:
    """Open the old primary again, once no other leader can open the new one any more; returns the new epoch.

    `held` is the epoch that this leader has. Raises: NotSwitched when the new primary is open already, StaleEpoch.
    """
    epoch = epochs.renew(pair, held)
    other = pair.side(pair.other(origin))
    if access.raise_epoch(other, pair.service, epoch):
        raise NotSwitched(f"{pair.other(origin)} is the primary already")
    access.open_up(access.gate(pair.side(origin), pair.service), epoch, {}, closed=0)
    return epoch


def left_by(pair: Pair) -> str | None:
    """The alias of the database that a cutover under way has closed, or None if no cutover is under way."""
    sides = [stages.side(pair.side(alias), pair.service, alias) for alias in (SHARED, pair.service)]
    if any(side.is_writable for side in sides) or not any(side.closed for side in sides):
        return None
    return max(sides, key=lambda side: side.closed).alias


def go_on(run: Run) -> str:
    """Finish a cutover that was left: forward if every write has arrived, else back. Returns the primary's alias."""
    pair, service = run.pair, run.service
    origin = left_by(pair)
    if origin is None:
        raise NotSwitched("no cutover was left half-way")
    target = pair.other(origin)
    closed = stages.side(pair.side(origin), service, origin).closed
    old, new = access.gate(pair.side(origin), service), access.gate(pair.side(target), service)
    try:
        run.do(LEFT_MARKER, partial(_await_marker, new, closed, RESUME_SECONDS), f"of epoch {closed}")
    except replication.TooSlow:
        go_back(pair, origin, run.epoch)
        return origin
    run.do(LEFT_OPEN, lambda: _open(new, run.epoch, access.sequences_of(old), closed, origin), target)
    return target

"""What an action would do, before it does it: steps, locks, the pause to expect, what can go wrong. And how things stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from apps.core.database import primaries
from apps.core.postgres import connections, replication
from apps.extraction.decommission import old_tables, requirements
from apps.extraction.relocation import preconditions
from apps.extraction.relocation.preconditions import Check
from apps.extraction.routing.shadow import mismatches
from apps.extraction.state import stages
from apps.extraction.state.models import Move
from apps.extraction.state.stages import SHARED, Observed, Pair


class Plan(NamedTuple):
    """What an action does: its steps, the locks that people could feel, and what can go wrong and what happens then."""

    steps: tuple[Any, ...]
    locks: Any
    dangers: tuple[Any, ...]


class Shown(NamedTuple):
    """A plan with what can be said about it now."""

    plan: Plan
    pause: str
    stage: str
    checks: list[Check]


NONE_FELT = _("none that people feel")
SWITCH = (
    _("vacuum: VACUUM ANALYZE of every table and a CHECKPOINT on both servers"),
    _("close: in one transaction lock every table, take every right from the platform's roles, write a marker"),
    _("marker: wait until the marker, and with it every write before it, is in the other database"),
    _("open: in one transaction check the epoch, set the sequences, give the rights"),
)
SWITCH_LOCKS = _("EXCLUSIVE on all tables, asked for at most 50 ms; from close to open nobody writes or reads")
SWITCH_DANGERS = (
    _("a table is held longer than 50 ms: nothing was closed; tried again, at most 40 times"),
    _("the marker takes longer than 80 ms: the old home is opened again; tried again"),
    _("the leading process dies between close and open: people wait; the worker finishes it after a few seconds"),
    _("a server dies between close and open: people wait until it is back, then it is finished"),
)
PLANS: dict[str, Plan] = {
    "prepare": Plan((_("migrate: apply the service's migrations in its own database"),), NONE_FELT, ()),
    "sync": Plan(
        (
            _("start: publish the tables, refuse DDL on them from now on, make a slot and take its snapshot"),
            _("copy: empty the target's tables, copy every row in parallel, then build keys and indexes"),
            _("follow: apply every change since the snapshot, from now on"),
        ),
        NONE_FELT,
        (
            _("the copy's process dies: its slot goes with it; the worker begins anew, at most three times"),
            _("the slot makes the source keep too much log: the slot is dropped and the record says so"),
        ),
    ),
    "verify": Plan(
        (_("compare: checksums of every row on both sides, then of every row that changes"),),
        _("none; it gives way while people keep the source busy"),
        (_("rows differ: each is named with its fields, and a cutover is refused"),),
    ),
    "cutover": Plan(
        (_("way back: the shared database follows the service's own from now on"), *SWITCH),
        SWITCH_LOCKS,
        SWITCH_DANGERS,
    ),
    "rollback": Plan(SWITCH, SWITCH_LOCKS, SWITCH_DANGERS),
    "commit": Plan(
        (
            _("stop following: end both directions and drop their slots"),
            _("grants: future tables are the service's as well"),
        ),
        NONE_FELT,
        (_("you want to go back later: there is no way back from here without loss"),),
    ),
    "decommission": Plan(
        (
            _(
                "checklist: everything that can be looked at within seconds is looked at again; the rest has to be fresh"
            ),
            _("backup: pg_dump of the old tables"),
            _("restore and compare: into a scratch database, every row, to the bit"),
            _("drop: the old tables"),
            _("grants: the platform may only read in the service's own database; calls go to the service alone"),
        ),
        _("ACCESS EXCLUSIVE on tables that nobody may use any more"),
        (_("the restored backup is not the same: nothing is dropped"),),
    ),
    "resume": Plan(
        (
            _("marker: wait until every write has arrived"),
            _("open: the database that has them"),
        ),
        _("none new: it ends a pause"),
        (_("the marker does not arrive: the old home is opened again"),),
    ),
    "abort": Plan(
        (
            _("open: the database that was closed, after everybody else is shut out of the other"),
            _("or, where none was closed: stop following and drop the slots"),
        ),
        _("none new: it ends a pause"),
        (_("the other database was opened already: then it is the home, and rollback is the way back"),),
    ),
    "rehearse": Plan(
        (
            _("copy: back up the service's tables and restore them into two scratch databases"),
            _("play there: sync, verify, cutover, rollback, cutover, commit"),
            _("drop: the scratch databases"),
        ),
        NONE_FELT,
        (),
    ),
}


def show(service: str, verb: str) -> Shown:
    """The plan of an action, with what its checks say now. Raises: NoWay, TwoHomes, psycopg.OperationalError."""
    with stages.pair(service) as found:
        observed = stages.observe_with(found)
        pause = _pause(found, observed, verb) if verb in {"cutover", "rollback"} else ""
        return Shown(PLANS[verb], pause, observed.stage.value, _checks(found, observed, verb))


def lines(service: str, verb: str) -> Iterator[str]:
    """The same as lines of text."""
    if not (primaries.is_movable(service) and connections.is_configured(service)):
        yield f"REFUSED {service} has no database of its own (SERVICE_DATABASE_URLS, CONTROL_URLS, REPLICATION_URLS)"
        return
    shown = show(service, verb)
    yield f"{verb} of {service}"
    yield from (f"  {number}. {step}" for number, step in enumerate(shown.plan.steps, 1))
    yield f"  locks: {shown.plan.locks}"
    yield from (f"  if {danger}" for danger in shown.plan.dangers)
    if shown.pause:
        yield f"  expected pause: {shown.pause}"
    yield f"  now: {shown.stage}"
    yield from (f"  {line}" for line in preconditions.lines(shown.checks))


def situation(service: str) -> Iterator[str]:
    """How a service stands: its comparisons, both databases, synchronisation, verification, the latest actions."""
    try:
        observed = stages.observe(service)
    except stages.TwoHomes:
        yield "TWO HOMES: both databases let the platform write. Shut one by hand, then look here again."
        return
    except (connections.NoWay, Exception) as error:  # noqa: BLE001 - whatever it is, it is what there is to say
        yield f"not known: {error}"
        return
    for side in (observed.shared, observed.own):
        if side is not None and side.has_tables:
            words = "home" if side.is_writable else ("closed" if side.closed else "not the home")
            follows = ", follows the other" if side.is_subscribed else ""
            yield f"{'shared' if side.alias == SHARED else 'own':<7} {words}, epoch {side.epoch}{follows}"
    compared = mismatches.present(service)
    if any(compared):
        yield (
            f"shadow  {compared.matched} agree, {compared.mismatched} differ, {compared.failed} were not answered,"
            " since it was turned"
        )
    if (sync := observed.sync) is not None:
        lag = "" if sync.lag_seconds is None else f", {sync.lag_seconds} s and {sync.lag_bytes} bytes behind"
        yield f"sync    {sync.status}, {sync.phase}, {sync.records_processed} rows at {sync.rows_per_second} rows/s{lag}"
    if (found := observed.verification) is not None:
        yield (
            f"verify  {found.status}, {found.rows_compared} rows at {found.rows_per_second} rows/s,"
            f" {found.differences} differ, {found.backlog} to be looked at {found.error}".rstrip()
        )
    for move in Move.objects.filter(service=service).order_by("-started_at")[:5]:
        pause = "" if move.pause_ms is None else f", pause {move.pause_ms:.1f} ms in {move.attempts} attempts"
        yield f"{move.started_at:%Y-%m-%d %H:%M:%S}  {move.verb:<12} {move.outcome:<8} {move.who}{pause} {move.problem[:120]}"


def _checks(found: Pair, observed: Observed, verb: str) -> list[Check]:
    by_verb = {
        "sync": preconditions.before_sync,
        "cutover": preconditions.before_cutover,
        "rollback": preconditions.before_rollback,
        "decommission": lambda *both: [*old_tables.before(*both), *requirements.shown(found.service)],
        "commit": preconditions.before_commit,
    }
    make = by_verb.get(verb)
    return make(found, observed) if make else []


def _pause(found: Pair, observed: Observed, verb: str) -> str:
    """From how long a marker takes now, and from what the last switches took."""
    past = [
        move.pause_ms
        for move in Move.objects.filter(service=found.service, verb=verb).order_by("-started_at")[:20]
        if move.pause_ms is not None
    ]
    measured = f"; the last {len(past)} took {min(past):.0f} to {max(past):.0f} ms" if past else ""
    writer, reader = (found.shared, found.own) if verb == "cutover" else (found.own, found.shared)
    try:
        lag = replication.beat(writer, reader, found.service, seconds=1) * 1000
    except Exception:  # noqa: BLE001 - nothing follows yet, so nothing can be measured
        return f"not measured: nothing follows yet{measured}"
    return f"about {lag + 8:.0f} ms: a marker takes {lag:.1f} ms now, the two commits some 8{measured}"

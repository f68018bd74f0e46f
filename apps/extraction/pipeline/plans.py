"""The plan of an action (steps, locks, expected pause, dangers), and the situation of a service, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from apps.core.postgres import connections, replication
from apps.extraction.pipeline.actions import ACTIONS, can_move
from apps.extraction.routing.shadow import mismatches
from apps.extraction.state import checks, stages
from apps.extraction.state.action import Plan
from apps.extraction.state.checks import Check
from apps.extraction.state.models import Move
from apps.extraction.state.stages import SHARED, Observed, Pair


class Shown(NamedTuple):
    """A plan, with the expected pause and the present stage."""

    plan: Plan
    pause: str
    stage: str


def show(service: str, name: str) -> Shown:
    """The plan of an action, with its checks as they are now.

    Raises: NoWay, TwoPrimaries, psycopg.Error, DomainError.
    """
    action = ACTIONS[name]
    with stages.pair(service) as pair:
        observed = stages.observe_with(pair)
        pause = _pause(pair, observed, name) if action.switches else ""
        return Shown(action.plan(pair), pause, observed.stage.value)


def without_steps(name: str, check: Check) -> Shown:
    """The plan of an action whose databases cannot be read, with a check that says why."""
    action = ACTIONS[name]
    return Shown(Plan((), action.locks, action.dangers, [check]), "", "")


def lines(service: str, name: str) -> Iterator[str]:
    """The plan of an action as lines of text."""
    if not can_move(service):
        yield f"REFUSED {service} has no database of its own (SERVICE_DATABASE_URLS, CONTROL_URLS, REPLICATION_URLS)"
        return
    planned = show(service, name)
    yield f"{name} of {service}"
    yield from (f"  {number}. {step.words}" for number, step in enumerate(planned.plan.steps, 1))
    yield f"  locks: {planned.plan.locks}"
    yield from (f"  if {danger}" for danger in planned.plan.dangers)
    if planned.pause:
        yield f"  expected pause: {planned.pause}"
    yield f"  now: {planned.stage}"
    yield from (f"  {line}" for line in checks.lines(planned.plan.checks))


def situation(service: str) -> Iterator[str]:
    """The situation of a service: both databases, comparisons, synchronisation, verification, the latest actions."""
    try:
        observed = stages.observe(service)
    except stages.TwoPrimaries:
        yield "TWO PRIMARIES: both databases let the platform write. Close one by hand, then look here again."
        return
    except (connections.NoWay, Exception) as error:  # noqa: BLE001 - any error is shown as the situation
        yield f"not known: {error}"
        return
    for side in (observed.shared, observed.own):
        if side is not None and side.has_tables:
            words = "primary" if side.is_writable else ("closed" if side.closed else "not the primary")
            follows = ", follows the other" if side.is_subscribed else ""
            yield f"{'shared' if side.alias == SHARED else 'own':<7} {words}, epoch {side.epoch}{follows}"
    compared = mismatches.present(service)
    if any(compared):
        yield (
            f"shadow  {compared.matched} agree, {compared.mismatched} differ, {compared.failed} were not answered,"
            " since the flag was changed"
        )
    if (sync := observed.sync) is not None:
        lag = "" if sync.lag_seconds is None else f", {sync.lag_seconds} s and {sync.lag_bytes} bytes behind"
        yield f"sync    {sync.status}, {sync.phase}, {sync.records_processed} rows at {sync.rows_per_second} rows/s{lag}"
    if (verification := observed.verification) is not None:
        yield (
            f"verify  {verification.status}, {verification.rows_compared} rows at {verification.rows_per_second} rows/s,"
            f" {verification.differences} differ, {verification.backlog} to be compared {verification.error}".rstrip()
        )
    for move in Move.objects.filter(service=service).order_by("-started_at")[:5]:
        pause = "" if move.pause_ms is None else f", pause {move.pause_ms:.1f} ms in {move.attempts} attempts"
        yield f"{move.started_at:%Y-%m-%d %H:%M:%S}  {move.verb:<12} {move.outcome:<8} {move.who}{pause} {move.problem[:120]}"


def _pause(pair: Pair, observed: Observed, name: str) -> str:
    """The expected write pause, from a marker's time now and from the last pauses."""
    past = [
        move.pause_ms
        for move in Move.objects.filter(service=pair.service, verb=name).order_by("-started_at")[:20]
        if move.pause_ms is not None
    ]
    measured = f"; the last {len(past)} took {min(past):.0f} to {max(past):.0f} ms" if past else ""
    writer, reader = (pair.shared, pair.own) if name == "cutover" else (pair.own, pair.shared)
    try:
        lag = replication.beat(writer, reader, pair.service, seconds=1) * 1000
    except Exception:  # noqa: BLE001 - nothing follows yet, so nothing can be measured
        return f"not measured: nothing follows yet{measured}"
    return f"about {lag + 8:.0f} ms: a marker takes {lag:.1f} ms now, the two commits some 8{measured}"

"""The last three phases, which change the primary database. From the commit on the only way back is a backup."""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.core.database import primaries
from apps.core.postgres import connections
from apps.core.postgres.leadership import AnotherLeads
from apps.core.postgres.replication import TooSlow
from apps.datasync.interface import SyncPhase, SyncStatus
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.pipeline.run import Pipeline, Stopped, act, decide
from apps.extraction.relocation.cutover import NotSwitched
from apps.extraction.state import stages
from apps.extraction.state.checks import Refused
from apps.extraction.state.phases import Decision

POLL_SECONDS = 1.0
# Seconds to wait for what passes by itself: a lag, a long transaction, changed rows yet to be compared.
READY_SECONDS = 60.0


def copy(pipeline: Pipeline) -> str:
    """Create the tables, copy every row, and follow every change."""
    if not primaries.is_movable(pipeline.service):
        return f"{pipeline.service} is served remotely; its tables are control data and stay where they are."
    if not connections.is_configured(pipeline.service):
        raise Stopped(
            "Served remotely. For a database of its own SERVICE_DATABASE_URLS, CONTROL_URLS and REPLICATION_URLS have to name it."
        )
    act(pipeline, "prepare")
    move = act(pipeline, "sync")
    pipeline.initiator.write_line(f"{move.facts['rows']} rows copied at {move.facts['rows_per_second']} rows/s")
    return ""


def verify(pipeline: Pipeline) -> str:
    """Finish a copy that was begun, then compare every row."""
    sync = stages.live_sync(pipeline.service)
    if sync is not None and sync.status is SyncStatus.PAUSED:
        raise Stopped(f"The copy is paused: manage.py extraction {pipeline.service} resume; then run this again.")
    if sync is not None and sync.phase is not SyncPhase.FOLLOWING:
        act(pipeline, "sync")
    move = act(pipeline, "verify")
    if differences := move.facts.get("differences"):
        raise Stopped(
            f"{differences} rows differ: see /admin/datasync/difference/, or GET /api/v1/sync/verify/{pipeline.service}/differences."
        )
    sync = stages.live_sync(pipeline.service)
    lag = "" if sync is None or sync.lag_seconds is None else f"; the copy is {sync.lag_seconds} s behind"
    pipeline.initiator.write_line(f"{move.facts['rows']} rows compared, none differs{lag}")
    return ""


def switch(decision: Decision) -> Callable[[Pipeline], str]:
    """The turn of a decision: ask, then perform its action once nothing temporary stands against it."""

    def turn(pipeline: Pipeline) -> str:
        decide(pipeline, decision)
        _when_ready(pipeline, decision.value)
        return ""

    return turn


def finish_switch(pipeline: Pipeline) -> str:
    """Finish a cutover or rollback that a leader left between its two commits."""
    _when_ready(pipeline, "resume")
    return ""


def end(pipeline: Pipeline) -> str:
    """The last stage: nothing is left to do."""
    return f"{pipeline.service} runs on its own: nothing of it remains in the old primary."


def _when_ready(pipeline: Pipeline, name: str) -> None:
    """Perform an action as soon as its checks hold and no other action leads.

    Raises: FAILURES, Stopped after a time.
    """
    began = time.monotonic()
    while True:
        try:
            with pipeline.whole():
                act(pipeline, name)
        except AnotherLeads as other:
            if time.monotonic() - began > pipeline.patience_seconds:
                raise Stopped(
                    f"Another action has led all the time: {other}. If it hangs: manage.py extraction {pipeline.service} "
                    "resume --take-over"
                ) from None
            pipeline.show(f"waiting: {other} leads", None)
        except (Refused, NotSwitched, TooSlow) as error:
            if name != Decision.CUTOVER or time.monotonic() - began > READY_SECONDS:
                raise
            pipeline.show(f"not yet: {error}", None)
        else:
            return
        time.sleep(POLL_SECONDS)
        if stages.observe(pipeline.service).stage not in ACTIONS[name].stages:
            return

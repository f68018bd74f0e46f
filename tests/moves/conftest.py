"""Fixtures: a service whose copy follows and is verified; after a test its primary is the shared database again."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from apps.core.database import primaries
from apps.core.flags.routes import system_context
from apps.core.postgres import connections, replication
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncPhase, SyncStatus, SyncType
from apps.extraction.relocation import access, actions, cutover, preconditions
from apps.extraction.state import epochs, stages
from apps.extraction.state.initiator import Initiator

INITIATOR = Initiator("test", "pytest", "a test")


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Poll until the callable returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return value


def return_to_shared(service: str) -> None:
    """Undo all that a test left: the primary is the shared database, nothing follows, no slot is left."""
    settle(service)
    actions.ABORT.perform(service, INITIATOR)
    primaries.forget()


def settle(service: str) -> None:
    """Finish or roll back a switch, so that the shared database is the primary."""
    with stages.pair(service) as pair:
        if cutover.left_by(pair) is not None:
            actions.RESUME.perform(service, Initiator("test", "pytest", take_over=True))
    observed = stages.observe(service)
    if observed.stage is stages.Stage.REVERSIBLE:
        actions.ROLLBACK.perform(service, INITIATOR)
    primaries.forget()


@functools.cache
def prepare_once(service: str) -> None:
    """Make the tables of a service in its own database. They stay from module to module; making them starts a process."""
    actions.PREPARE.perform(service, INITIATOR)


def ctx():
    return system_context("test", timeout_ms=30_000)


def followed(service: str) -> Sync:
    """All tables of a service, copied and followed."""
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)

    def follows() -> Sync | None:
        current = call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)
        assert current.status is SyncStatus.RUNNING, current
        return current if current.phase is SyncPhase.FOLLOWING and current.lag_seconds is not None else None

    return until(follows, 60)


def stop(service: str) -> None:
    """Cancel what is synchronised."""
    for sync in call(DATASYNC).list(ctx=ctx(), limit=200):
        if sync.target_service == service and sync.status in {SyncStatus.RUNNING, SyncStatus.PAUSED}:
            call(DATASYNC).cancel(ctx=ctx(), sync_id=sync.sync_id)


def slots(both: stages.Pair) -> list[str]:
    """The names of the slots of synchronisations of notifications."""
    rows = both.shared.execute(
        "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'lc\\_notifications%' OR slot_name LIKE 'lc\\_sync%'"
    )
    return [str(name) for (name,) in rows.fetchall()]


def keys_of(connection: psycopg.Connection) -> list[str]:
    """The definitions of the keys and indexes of one table."""
    rows = connection.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'notifications_command'::regclass ORDER BY 1"
    )
    return [str(text) for (text,) in rows.fetchall()]


@pytest.fixture(scope="module")
def service() -> str:
    """The service that these tests relocate."""
    return "notifications"


@pytest.fixture(scope="module")
def prepared(service: str, database: None) -> Iterator[str]:
    """The service's own database has its tables; afterwards the shared one is the primary and nothing follows."""
    prepare_once(service)
    try:
        yield service
    finally:
        return_to_shared(service)


@pytest.fixture
def following(prepared: str) -> Sync:
    """The shared database is the primary and the service's own follows; the previous test's switch is undone."""
    settle(prepared)
    if (live := stages.live_sync(prepared)) is not None:
        return live
    actions.ABORT.perform(
        prepared, INITIATOR
    )  # ends the way back of an earlier relocation, which would replicate the emptying of the copy
    return followed(prepared)


@pytest.fixture
def verified(service: str, following: Sync) -> Sync:
    """As `following`, and every row was compared as equal."""
    actions.VERIFY.perform(service, INITIATOR, anew=True)
    return following


@pytest.fixture
def both(service: str) -> Iterator[stages.Pair]:
    """Control connections to both databases."""
    with stages.pair(service) as pair:
        yield pair


def left_closed(pair: stages.Pair, alias: str) -> int:
    """Close a primary as a leader does that dies between the two commits; returns its epoch."""
    cutover.keep_way_back(pair)
    replication.beat(pair.own, pair.shared, pair.service, seconds=20)
    epoch = epochs.take(pair)
    access.close(access.gate(pair.side(alias), pair.service), epoch)
    return epoch


@contextlib.contextmanager
def as_app(alias: str) -> Iterator[psycopg.Connection]:
    """A connection of the role that serves requests, as a process of the platform has it."""
    with primaries.connect(alias) as connection:
        yield connection


@contextlib.contextmanager
def as_owner(alias: str) -> Iterator[psycopg.Connection]:
    """A connection as the owner of tables."""
    parameters = psycopg.conninfo.conninfo_to_dict(connections.settings.CONTROL_URLS[alias])
    with psycopg.connect(**owner_of(parameters), autocommit=True) as connection:
        yield connection


def owner_of(parameters: dict[str, Any]) -> dict[str, Any]:
    import os
    from urllib.parse import urlsplit

    owner = urlsplit(os.environ["DATABASE_OWNER_URL"])
    return {**parameters, "user": owner.username, "password": owner.password}


def refusals(service: str) -> dict[str, str]:
    """The failing preconditions of a cutover: each check's name and what it saw."""
    with stages.pair(service) as pair:
        checks = preconditions.before_cutover(pair, stages.observe_with(pair))
    return {check.name: check.seen for check in checks if not check.holds}

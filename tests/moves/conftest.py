"""A service that follows and is verified, and is at home in the shared database again when a test has ended."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from apps.core.database import primaries
from apps.core.flags.routes import system_context
from apps.core.postgres import connections
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncPhase, SyncStatus, SyncType
from apps.extraction.relocation import actions, cutover, preconditions
from apps.extraction.state import stages
from apps.extraction.state.initiator import Initiator

BY = Initiator("test", "pytest", "a test")


def until(wanted: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask again until something is so; what it then is."""
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.02)
    return found


def bring_home(service: str) -> None:
    """Whatever a test has left behind: home is the shared database, nothing follows, no slot is there."""
    settle(service)
    actions.ABORT.perform(service, BY)
    primaries.forget()


def settle(service: str) -> None:
    """Home is the shared database."""
    with stages.pair(service) as found:
        if cutover.left_by(found) is not None:
            actions.RESUME.perform(service, Initiator("test", "pytest", take_over=True))
    observed = stages.observe(service)
    if observed.stage is stages.Stage.REVERSIBLE:
        actions.ROLLBACK.perform(service, BY)
    primaries.forget()


def ctx():
    return system_context("test", timeout_ms=30_000)


def followed(service: str) -> Sync:
    """All tables of a service, copied and followed."""
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)

    def follows() -> Sync | None:
        found = call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)
        assert found.status is SyncStatus.RUNNING, found
        return found if found.phase is SyncPhase.FOLLOWING and found.lag_seconds is not None else None

    return until(follows, 60)


@pytest.fixture(scope="module")
def service() -> str:
    """Which service these tests move."""
    return "notifications"


@pytest.fixture(scope="module")
def prepared(service: str, database: None) -> Iterator[str]:
    """The service's own database has its tables; afterwards home is the shared one and nothing follows."""
    actions.PREPARE.perform(service, BY)
    try:
        yield service
    finally:
        bring_home(service)


@pytest.fixture
def following(prepared: str) -> Sync:
    """At home in the shared database, and the service's own follows. What the test before has done is undone."""
    settle(prepared)
    if (live := stages.live_sync(prepared)) is not None:
        return live
    actions.ABORT.perform(
        prepared, BY
    )  # the way back of an earlier move, which would carry the emptying of a copy home
    return followed(prepared)


@pytest.fixture
def verified(service: str, following: Sync) -> Sync:
    """And every row was found the same."""
    actions.VERIFY.perform(service, BY, anew=True)
    return following


@pytest.fixture
def both(service: str) -> Iterator[stages.Pair]:
    """Control connections to both databases."""
    with stages.pair(service) as found:
        yield found


@contextlib.contextmanager
def as_app(alias: str) -> Iterator[psycopg.Connection]:
    """A connection of the role that serves people, as a process of the platform has it."""
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
    """What stands against a cutover now: the check's name and what it saw."""
    with stages.pair(service) as found:
        made = preconditions.before_cutover(found, stages.observe_with(found))
    return {check.name: check.seen for check in made if not check.holds}

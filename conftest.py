"""Fixtures for every test. Tests run against one running stack with data of their own, and flush nothing.

`make test` starts the stack and migrates it; the tests connect as the application's role, which owns no table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.core.seam.client import registry
from tests.world import ELSEWHERE, SIDES, World

VERIFIED = pytest.StashKey[list[tuple[str, list[str], str]]]()


def pytest_configure(config: pytest.Config) -> None:
    if "WEB_URL" not in os.environ:
        raise pytest.UsageError("the stack is not running: use `make test` (ARGS='-k name' for some tests)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that take minutes begin first, so that no worker process is left alone with one at the end, and may take a
    quarter of an hour on a busy machine. Where a service is verified, the tests of this process's own code are left
    out: they say nothing of that service, and its worker would take what they made."""
    if ELSEWHERE:
        own = [item for item in items if "world" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(900))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI nothing is skipped: a skipped test has failed. Where a service is verified, the operations that each test called are recorded."""
    report = yield
    world = item.funcargs.get("world") if isinstance(item, pytest.Function) else None
    if world is not None and report.when == "call":
        problem = call.excinfo.exconly(tryshort=True) if call.excinfo is not None else ""
        item.config.stash.setdefault(VERIFIED, []).append((item.name.partition("[")[0], list(world.exercised), problem))
    if os.environ.get("FORBID_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if path := os.environ.get("VERIFY_REPORT"):
        Path(path).write_text(json.dumps(session.config.stash.get(VERIFIED, [])))


@pytest.fixture(scope="session", autouse=True)
def database(django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """The stack's own database, open to every test."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(params=SIDES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each test with this fixture runs on all four sides of the seam."""
    this_world = World(request.param)
    with registry.routed_by(this_world.resolve):
        yield this_world


@pytest.fixture
def here() -> Iterator[World]:
    """This process only."""
    this_world = World("in_process")
    with registry.routed_by(this_world.resolve):
        yield this_world

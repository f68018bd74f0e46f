"""A streaming replica answers what may lag, never to a person who would miss their own write, and not while it lags or is dead."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from prometheus_client import generate_latest

from apps.contracts.interface import CONTRACTS
from apps.core.database import primaries, replicas
from apps.core.seam.client.registry import call
from landcontracts.embedded import postgres
from landcontracts.embedded.processes import Processes
from tests.world import World

ALIAS = "default_replica_0"


class Replica(NamedTuple):
    """A replica, and the process that applies the log in it."""

    processes: Processes
    folder: Path
    server: postgres.Server


def until(wanted, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def replica(database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("replica")
    folder.chmod(0o755)
    processes = Processes(folder)
    try:
        server = postgres.start_replica(processes, folder, json.loads(os.environ["REPLICATION_URLS"])["default"])
        app = urlsplit(os.environ["DATABASE_URL"])
        url = server.url(app.username, app.password)
        until(lambda: _answers(url))
        yield Replica(processes, folder, server)
    finally:
        processes.stop_all()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def configured(replica: Replica, settings, monkeypatch) -> Iterator[Replica]:
    """This process knows the replica and may use it."""
    app = urlsplit(os.environ["DATABASE_URL"])
    settings.REPLICA_URLS = {"default": [replica.server.url(app.username, app.password)]}
    given = {**django_settings.DATABASES["default"], "HOST": "127.0.0.1", "PORT": str(replica.server.port)}
    monkeypatch.setitem(connections.settings, ALIAS, given)
    monkeypatch.setitem(django_settings.DATABASES, ALIAS, given)
    until(lambda: replicas.pick("default", _nobody()))
    yield replica
    replicas.forget()
    connections[ALIAS].close()
    if connections[ALIAS].pool is not None:
        connections[ALIAS].close_pool()


def _nobody():
    from uuid import uuid4

    return uuid4()


def answered_by(monkeypatch) -> list[str]:
    """The databases that lists of contracts are read from, as they are read."""
    from apps.contracts.logic import contract_rows

    seen: list[str] = []
    rows = contract_rows.rows

    def watched(*args, **kwargs):
        seen.append(primaries.database_of("contracts"))
        return rows(*args, **kwargs)

    monkeypatch.setattr(contract_rows, "rows", watched)
    return seen


def listed(world: World, person) -> int:
    return len(call(CONTRACTS).list(ctx=world.ctx(person), limit=50).items)


def test_what_may_lag_is_read_from_the_replica(configured: Replica, here: World, monkeypatch):
    seller = here.person()
    seen = answered_by(monkeypatch)
    until(lambda: listed(here, seller) == 0 and seen[-1] == ALIAS)
    assert set(seen) <= {ALIAS, "default"}


def test_a_person_reads_their_own_writes_while_the_replica_stands_still(configured: Replica, here: World, monkeypatch):
    seller, buyer, stranger = here.person(), here.person(), here.person()
    seen = answered_by(monkeypatch)
    until(lambda: listed(here, stranger) == 0 and seen[-1] == ALIAS)
    applying = _startup_process(configured)
    os.kill(applying, signal.SIGSTOP)
    try:
        here.contract(seller, buyer)
        assert listed(here, seller) == 1
        assert seen[-1] == "default"
        # Somebody who wrote nothing is still answered there, until its lag is over the bound.
        until(lambda: listed(here, stranger) == 0 and seen[-1] == "default")
    finally:
        os.kill(applying, signal.SIGCONT)
    until(lambda: listed(here, seller) == 1 and seen[-1] == ALIAS)


def _startup_process(replica: Replica) -> int:
    """The process that applies the log."""
    found = subprocess.run(
        ["pgrep", "-P", str(_pid(replica)), "-f", "startup"], capture_output=True, text=True, check=True
    ).stdout.split()
    return int(found[0])


def _pid(replica: Replica) -> int:
    return next(process.pid for _, process, _ in replica.processes._running)


def test_a_replica_that_dies_is_left_out_and_returns_by_itself(
    replica: Replica, configured: Replica, here: World, monkeypatch
):
    seller = here.person()
    seen = answered_by(monkeypatch)
    until(lambda: listed(here, seller) == 0 and seen[-1] == ALIAS)
    metric = b'database_replica_lag_seconds{replica="default_replica_0"}'
    collector = replicas.LagCollector()
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    assert metric + b" +Inf" not in generate_latest(registry)
    port = replica.server.port
    process = replica.processes._running[0][1]
    os.kill(process.pid, signal.SIGQUIT)
    process.wait(30)
    for _ in range(5):
        assert listed(here, seller) == 0  # no failed query
    assert seen[-1] == "default"
    until(lambda: metric + b" +Inf" in generate_latest(registry))
    replica.processes.forget(process)
    command, data = process.args, replica.folder / "postgres-replica" / "data"
    from landcontracts.embedded import ownership

    replica.processes.start(
        "postgres-replica", command, cwd=data, user=ownership.server_user(), env=postgres._bare_environment(),
        stop=signal.SIGINT,
    )  # fmt: skip
    assert f"port={port}" in command
    until(lambda: listed(here, seller) == 0 and seen[-1] == ALIAS)


def test_without_knowing_what_a_person_wrote_the_home_answers(configured: Replica, here: World, monkeypatch):
    seller = here.person()

    def broken(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(replicas.shared_cache, "get", broken)
    assert replicas.pick("default", seller.id) is None

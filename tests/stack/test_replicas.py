"""A streaming replica answers reads that may lag, never for a person who would miss their own write, and not while it lags or is dead."""

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
    """A replica and its processes."""

    processes: Processes
    folder: Path
    server: postgres.Server


def until(condition, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return value


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
    """The replica, configured for this process."""
    app = urlsplit(os.environ["DATABASE_URL"])
    settings.REPLICA_URLS = {"default": [replica.server.url(app.username, app.password)]}
    database = {**django_settings.DATABASES["default"], "HOST": "127.0.0.1", "PORT": str(replica.server.port)}
    monkeypatch.setitem(connections.settings, ALIAS, database)
    monkeypatch.setitem(django_settings.DATABASES, ALIAS, database)
    until(lambda: replicas.pick("default", _unknown_person()))
    yield replica
    replicas.forget()
    connections[ALIAS].close()
    if connections[ALIAS].pool is not None:
        connections[ALIAS].close_pool()


def _unknown_person():
    from uuid import uuid4

    return uuid4()


def answered_by(monkeypatch) -> list[str]:
    """The databases that lists of contracts are read from, as they are read."""
    from apps.contracts.logic import contract_rows

    databases: list[str] = []
    rows = contract_rows.rows

    def watched(*args, **kwargs):
        databases.append(primaries.database_of("contracts"))
        return rows(*args, **kwargs)

    monkeypatch.setattr(contract_rows, "rows", watched)
    return databases


def listed(world: World, person) -> int:
    return len(call(CONTRACTS).list(ctx=world.ctx(person), limit=50).items)


def test_reads_that_may_lag_go_to_the_replica(configured: Replica, here: World, monkeypatch):
    seller = here.person()
    databases = answered_by(monkeypatch)
    until(lambda: listed(here, seller) == 0 and databases[-1] == ALIAS)
    assert set(databases) <= {ALIAS, "default"}


def test_a_person_reads_their_own_writes_while_the_replica_stands_still(configured: Replica, here: World, monkeypatch):
    seller, buyer, stranger = here.person(), here.person(), here.person()
    databases = answered_by(monkeypatch)
    until(lambda: listed(here, stranger) == 0 and databases[-1] == ALIAS)
    applying = _startup_process(configured)
    os.kill(applying, signal.SIGSTOP)
    try:
        here.contract(seller, buyer)
        assert listed(here, seller) == 1
        assert databases[-1] == "default"
        # A person who wrote nothing is still answered by the replica, until its lag is over the bound.
        until(lambda: listed(here, stranger) == 0 and databases[-1] == "default")
    finally:
        os.kill(applying, signal.SIGCONT)
    until(lambda: listed(here, seller) == 1 and databases[-1] == ALIAS)


def _startup_process(replica: Replica) -> int:
    """The process that applies the log."""
    pids = subprocess.run(
        ["pgrep", "-P", str(_pid(replica)), "-f", "startup"], capture_output=True, text=True, check=True
    ).stdout.split()
    return int(pids[0])


def _pid(replica: Replica) -> int:
    return next(process.pid for _, process, _ in replica.processes._running)


def test_a_replica_that_dies_is_left_out_and_returns_by_itself(
    replica: Replica, configured: Replica, here: World, monkeypatch
):
    seller = here.person()
    databases = answered_by(monkeypatch)
    until(lambda: listed(here, seller) == 0 and databases[-1] == ALIAS)
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
    assert databases[-1] == "default"
    until(lambda: metric + b" +Inf" in generate_latest(registry))
    replica.processes.forget(process)
    command, data = process.args, replica.folder / "postgres-replica" / "data"
    from landcontracts.embedded import ownership

    replica.processes.start(
        "postgres-replica", command, cwd=data, user=ownership.server_user(), env=postgres._bare_environment(),
        stop=signal.SIGINT,
    )  # fmt: skip
    assert f"port={port}" in command
    until(lambda: listed(here, seller) == 0 and databases[-1] == ALIAS)


def test_without_a_record_of_a_persons_writes_the_primary_answers(configured: Replica, here: World, monkeypatch):
    seller = here.person()

    def broken(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(replicas.shared_cache, "get", broken)
    assert replicas.pick("default", seller.id) is None

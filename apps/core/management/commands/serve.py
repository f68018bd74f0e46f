"""`manage.py serve documents --bind 127.0.0.1:8101`: one bounded app alone, its web server and its worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from apps.core import parent, topology
from apps.core.postgres import database_roles
from apps.core.seam.client.http import Address

STOP_SECONDS = 15
# Of the web server, beside those that answer calls: health, calls of the release before, comparisons.
OTHER_THREADS = 8
# A process that ends so often in so short a time cannot run.
MAX_ENDS, ENDS_WITHIN_SECONDS = 5, 60


class Command(BaseCommand):
    """Runs until it is stopped. Of its two processes one that ends is started again."""

    help = "Run one service alone: seam endpoint, public REST, event queue, health and metrics."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which service, and where."""
        parser.add_argument("service", choices=tuple(topology.entries()))
        parser.add_argument("--bind", default="127.0.0.1:8101", help="host:port, or unix:///path of a socket")
        parser.add_argument("--threads", type=int, default=8, help="calls answered at a time")
        parser.add_argument("--no-worker", action="store_true", help="leave its events to other workers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start both, wait, end both. Raises: CommandError when one cannot run, or when the address is taken."""
        service, bind, threads = options["service"], options["bind"], options["threads"]
        if service != settings.SERVICE:
            raise CommandError("this process has loaded more than one service: start it by manage.py")
        if not settings.SEAM_HOME:
            self.stderr.write("SEAM_HOME is not set: calls of this service to others will fail")
        if not settings.SEAM_PAIR_SECRETS:
            raise CommandError("SEAM_MASTER_SECRETS or SEAM_PAIR_SECRETS has to be set")
        self._warn_of_shared_accounts(service)
        commands = {"web": web_command(bind, threads)}
        environment = os.environ | {
            "DB_POOL_SIZE": str(threads + heavy_threads(threads) + OTHER_THREADS),  # a thread keeps its connection
            # Some threads stay free for services that call back.
            "SEAM_MAX_IN_FLIGHT": str(max(threads // 2, 1)),
            "SEAM_MAX_IN_FLIGHT_IN_ALL": str(max(threads * 3 // 4, 1)),
        }
        with (
            held(bind) as lock,
            tempfile.TemporaryDirectory(prefix=f"{service}-metrics-") as metrics,
            tempfile.TemporaryDirectory(prefix=f"{service}-beat-") as schedule,
        ):
            if not options["no_worker"]:
                commands["worker"] = worker_command(service, schedule)
            # The web server exposes the metrics of both.
            environment |= {"PROMETHEUS_MULTIPROC_DIR": metrics, "WORKER_METRICS": ""}
            self._supervise(f"{service} on {bind}", commands, environment, lock)

    def _warn_of_shared_accounts(self, service: str) -> None:
        """Say so where a server takes this process for another one, which may do more there."""
        user, own = settings.DATABASES[DEFAULT_DB_ALIAS]["USER"], database_roles.own_of(service)
        if own and user not in own:
            self.stderr.write(
                f"connects to the databases as {user}, which may have rights on other services' tables: "
                f"SERVICE_DATABASE_PASSWORDS has no password for {service} (manage.py database_roles)"
            )
        if (user := urlsplit(settings.REDIS_URL).username or "default") != service:
            self.stderr.write(
                f"connects to Valkey as {user}, which may have rights on other services' messages: "
                f"SERVICE_VALKEY_PASSWORDS has no password for {service}"
            )

    def _supervise(self, words: str, commands: dict[str, list[str]], environment: dict[str, str], lock: int) -> None:
        """Run both until SIGTERM or SIGINT; one that ends is started again. Raises: CommandError for one that cannot."""
        signal.signal(signal.SIGTERM, _interrupt)
        begin = partial(_begin, environment=environment, lock=lock)
        running = {name: begin(command) for name, command in commands.items()}
        ends: dict[str, list[float]] = {name: [] for name in commands}
        self.stdout.write(f"{words}, {' and '.join(running)}")
        self.stdout.flush()
        try:
            while True:
                for name, process in running.items():
                    if process.poll() is None:
                        continue
                    now = time.monotonic()
                    ends[name] = [at for at in ends[name] if now - at < ENDS_WITHIN_SECONDS] + [now]
                    if len(ends[name]) >= MAX_ENDS:
                        raise CommandError(f"{name} has ended {MAX_ENDS} times in {ENDS_WITHIN_SECONDS} seconds")
                    self.stderr.write(f"{name} has ended (status {process.returncode}) and is started again")
                    running[name] = begin(commands[name])
                time.sleep(0.2)
        except KeyboardInterrupt:
            return
        finally:
            _end(list(running.values()))


def _begin(command: list[str], *, environment: dict[str, str], lock: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environment,
        pass_fds=(lock,),
        preexec_fn=partial(parent.end_with, os.getpid()),  # noqa: PLW1509 - one thread
    )


@contextmanager
def held(bind: str) -> Iterator[int]:
    """Reserve an address on this machine (Linux): web servers share a port silently, and half of the calls would go
    astray.

    Waits for a process that is ending, and removes an abandoned socket file. Raises: CommandError.
    """
    path = Path(bind.removeprefix("unix://")) if bind.startswith("unix://") else None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        deadline = time.monotonic() + STOP_SECONDS
        while sys.platform == "linux":
            try:
                _refuse_taken_port(bind)
                lock.bind(f"\0landcontracts {bind}")  # an abstract name is freed when its last holder ends, in any way
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise CommandError(f"another process serves at {bind}") from None
                time.sleep(0.1)
        if path is not None:
            path.unlink(missing_ok=True)
        yield lock.fileno()  # for the children: while one of them runs, the address is taken


def _refuse_taken_port(bind: str) -> None:
    """Bind without the port sharing that web servers use. Raises: OSError where a process listens."""
    if not bind.startswith("unix://"):
        address = Address(f"http://{bind}")
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        socket.create_server((address.host, address.port), family=family).close()


def web_command(bind: str, threads: int) -> list[str]:
    """The web server of one service. Raises: CommandError for a malformed address."""
    try:
        address = Address(bind if "://" in bind else f"http://{bind}")
    except ValueError as error:
        raise CommandError(str(error)) from None
    if not address.is_unix and ":" not in bind:
        raise CommandError(f"--bind takes host:port, such as 127.0.0.1:8101, and not {bind}")
    return [
        sys.executable,
        *("-m", "landcontracts.server"),
        *("--bind", bind, "--threads", str(threads)),
        *("--heavy-threads", str(heavy_threads(threads))),
    ]


def heavy_threads(threads: int) -> int:
    """The expensive requests answered at a time, beside so many others."""
    return max(threads // 4, 1)


def worker_command(service: str, folder: str) -> list[str]:
    """The worker of the service's own queue, with its own scheduler, which keeps its times in a folder."""
    return [
        *(
            _program("celery"),
            "-q",
            "-A",
            "landcontracts",
            "worker",
            "-B",
            "-s",
            str(Path(folder, "beat")),
            "-P",
            "threads",
            "-c",
            "2",
        ),
        *("-Q", f"events.{service}", "-n", f"{service}-{os.getpid()}@%h", "-l", "warning"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _interrupt(*_: int | FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

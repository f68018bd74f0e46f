"""The compared servers, each a process of its own; peers have the same number of workers and threads."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from landcontracts.embedded.processes import (
    Process,
    Processes,
    StartFailed,
    free_port,
    wait_for_port,
    wait_for_url,
)

BASE = Path(__file__).resolve().parent.parent
THREADS = 16
SERVE_THREADS = 8
TUTORIAL_SETTINGS = "benchmarks.tutorial.settings"
TUTORIAL = "benchmarks.tutorial.wsgi:application"
OURS = "landcontracts.wsgi:application"


class Places(NamedTuple):
    """The addresses of the lifted-out service; chosen first, because the settings name them."""

    port: int
    path: Path

    @property
    def tcp(self) -> str:
        """Its address over TCP on loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def unix(self) -> str:
        """The address of its second process, which listens on a unix socket."""
        return f"unix://{self.path}"


class Servers(NamedTuple):
    """Ports on loopback."""

    ours: int
    tutorial: int
    textbook: int
    places: Places


@contextmanager
def chosen_places() -> Iterator[Places]:
    """Unused addresses. A socket's path has at most 107 characters, so it is not in the folder of the data."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Places(free_port(), Path(folder) / "contracts.sock")


@contextmanager
def running(folder: Path, places: Places) -> Iterator[Servers]:
    """The platform, contracts lifted out twice by `serve` (TCP, unix socket), the tutorial on the same server and on gunicorn.

    Raises: StartFailed.
    """
    for package in ("gunicorn", "requests"):
        if importlib.util.find_spec(package) is None:
            raise StartFailed(f"{package}, one of the peers, is not installed")
    with _processes(folder) as processes:
        ours = _start(processes, "ours", OURS, "landcontracts.settings", ready="/readyz")
        platform_url = f"http://127.0.0.1:{ours}"
        process, log = _serve(processes, "lifted", f"127.0.0.1:{places.port}", platform_url)
        wait_for_url(f"{places.tcp}/readyz", process, log)
        wait_for_socket(places.path, *_serve(processes, "lifted-unix", places.unix, platform_url))
        yield Servers(
            ours=ours,
            tutorial=_start(processes, "tutorial", TUTORIAL, TUTORIAL_SETTINGS),
            textbook=_start(processes, "textbook", TUTORIAL, TUTORIAL_SETTINGS, gunicorn=True),
            places=places,
        )


@contextmanager
def started(folder: Path, name: str, command: Sequence[str], port: int, **environment: str) -> Iterator[None]:
    """Run one more server for the time of a block. Raises: StartFailed."""
    with _processes(folder / name) as processes:
        process, log = processes.start(name, command, env={**os.environ, **environment}, cwd=BASE)
        wait_for_port(port, process, log)
        yield


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """For the time of a block, this thread and the processes that it starts run on one core (Linux)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def as_serve_would(port: int, target: str) -> list[str]:
    """The command of `manage.py serve`, for another WSGI application."""
    from apps.core.management.commands.serve import web_command  # needs the settings

    return [*web_command(f"127.0.0.1:{port}", SERVE_THREADS), "--application", target]


def wait_for_socket(path: Path, process: Process, log: Path, seconds: float = 60) -> None:
    """Return when the seam behind a unix socket answers `/healthz`. Raises: StartFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(str(path))
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if probe.recv(64).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(0.1)
    raise StartFailed(f"{log.name}: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def _processes(folder: Path) -> Iterator[Processes]:
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder)
    try:
        yield processes
    finally:
        processes.stop_all()


def _serve(processes: Processes, name: str, bind: str, platform_url: str) -> tuple[Process, Path]:
    command = [sys.executable, "manage.py", "serve", "contracts", "--bind", bind, "--no-worker"]
    environment = {**os.environ, "SEAM_HOME": platform_url, "DEBUG": "false"}
    return processes.start(name, [*command, "--threads", str(SERVE_THREADS)], env=environment, cwd=BASE)


def remote_addresses(places: Places) -> str:
    """The setting `SEAM_AWAY`: every service of the stack, contracts at its chosen address."""
    return json.dumps({**json.loads(os.environ.get("SEAM_AWAY") or "{}"), "contracts": places.tcp})


def _start(
    processes: Processes, name: str, target: str, settings: str, *, ready: str = "", gunicorn: bool = False
) -> int:
    port = free_port()
    command = _gunicorn(port, target) if gunicorn else _ours(port, target)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings, "DEBUG": "false"}
    process, log = processes.start(name, command, env=environment, cwd=BASE)
    if ready:
        wait_for_url(f"http://127.0.0.1:{port}{ready}", process, log)
    else:
        wait_for_port(port, process, log)
    return port


def _ours(port: int, target: str) -> list[str]:
    command = [sys.executable, "-m", "landcontracts.server", "--bind", f"127.0.0.1:{port}", "--threads", str(THREADS)]
    return [*command, "--application", target]


def _gunicorn(port: int, target: str) -> list[str]:
    return [
        *(_program("gunicorn"), "--worker-class", "gthread", "--bind", f"127.0.0.1:{port}"),
        *("--workers", "1", "--threads", str(THREADS), "--log-level", "warning", target),
    ]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)

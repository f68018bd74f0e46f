"""The servers that are compared, each a process of its own with the same number of workers and threads."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from landcontracts.embedded.processes import Processes, StartFailed, free_port, wait_for_port, wait_for_url

BASE = Path(__file__).resolve().parent.parent
THREADS = 16
TUTORIAL_SETTINGS = "benchmarks.tutorial.settings"
TUTORIAL = "benchmarks.tutorial.wsgi:application"
OURS = "landcontracts.wsgi:application"


class Servers(NamedTuple):
    """Ports on loopback."""

    ours: int
    tutorial: int
    textbook: int

    @property
    def seam_url(self) -> str:
        """Where our seam endpoint is."""
        return f"http://127.0.0.1:{self.ours}"


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Ours on granian, the tutorial on granian with the same flags, and the tutorial on gunicorn.

    Raises: StartFailed.
    """
    for package in ("gunicorn", "requests"):
        if importlib.util.find_spec(package) is None:
            raise StartFailed(f"{package}, one of the peers, is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(folder)
    try:
        yield Servers(
            ours=_start(processes, "ours", OURS, "landcontracts.settings", ready="/readyz"),
            tutorial=_start(processes, "tutorial", TUTORIAL, TUTORIAL_SETTINGS),
            textbook=_start(processes, "textbook", TUTORIAL, TUTORIAL_SETTINGS, gunicorn=True),
        )
    finally:
        processes.stop_all()


def _start(
    processes: Processes, name: str, target: str, settings: str, *, ready: str = "", gunicorn: bool = False
) -> int:
    port = free_port()
    command = _gunicorn(port, target) if gunicorn else _granian(port, target)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings, "DEBUG": "false"}
    process, log = processes.start(name, command, env=environment, cwd=BASE)
    if ready:
        wait_for_url(f"http://127.0.0.1:{port}{ready}", process, log)
    else:
        wait_for_port(port, process, log)
    return port


def _granian(port: int, target: str) -> list[str]:
    return [
        *(_program("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--blocking-threads", str(THREADS), "--no-ws", "--log-level", "warning"),
        *("--http", "1", "--runtime-mode", "mt", target),
    ]


def _gunicorn(port: int, target: str) -> list[str]:
    return [
        *(_program("gunicorn"), "--worker-class", "gthread", "--bind", f"127.0.0.1:{port}"),
        *("--workers", "1", "--threads", str(THREADS), "--log-level", "warning", target),
    ]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)

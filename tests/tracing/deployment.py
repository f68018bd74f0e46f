"""The platform as it stands on a server: web, worker and one lifted-out service, each a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from apps.core import topology
from landcontracts.embedded.processes import Processes, free_port, wait_for_url
from landcontracts.embedded.stack import BASE

LIFTED = "documents"
BIN = Path(sys.executable).parent


class Deployment(NamedTuple):
    """Its URL, the folder of its logs and its processes."""

    url: str
    folder: Path
    processes: Processes

    def lines(self, *names: str) -> list[dict[str, object]]:
        """The log lines of the named processes, or of all. Every line is JSON, except what commands print when they start and stop."""
        files = [self.folder / "logs" / f"{name}.log" for name in names] or sorted((self.folder / "logs").glob("*.log"))
        written = [line for file in files for line in file.read_text().splitlines()]
        printed = ("", "worker: Warm shutdown (MainProcess)")
        return [json.loads(line) for line in written if line not in printed and not line.startswith(f"{LIFTED} on ")]


def web_command(port: int) -> list[str]:
    return [sys.executable, "-m", "landcontracts.server", "--bind", f"127.0.0.1:{port}", "--threads", "8"]


@contextmanager
def web(folder: Path, **environment: str) -> Iterator[Deployment]:
    """A web server alone, which listens whether or not it is ready."""
    processes = Processes(folder)
    try:
        yield _web(processes, folder, environment)
    finally:
        processes.stop_all()


def _web(processes: Processes, folder: Path, environment: dict[str, str]) -> Deployment:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process, log = processes.start("web", web_command(port), env={**os.environ, **environment}, cwd=BASE)
    wait_for_url(f"{url}/healthz", process, log)
    return Deployment(url, folder, processes)


@contextmanager
def whole(folder: Path, **environment: str) -> Iterator[Deployment]:
    """Web, the platform's worker, and documents with a worker of its own."""
    processes = Processes(folder)
    env = {**os.environ, **environment}
    try:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        web_process, web_log = processes.start("web", web_command(port), env=env, cwd=BASE)
        address = settings.SEAM_AWAY[LIFTED]
        serve = [sys.executable, "manage.py", "serve", LIFTED, "--bind", address.removeprefix("http://")]
        lifted, lifted_log = processes.start(LIFTED, serve, env={**env, "SEAM_HOME": url}, cwd=BASE)
        queues = ["clock", *(f"events.{service}" for service in topology.entries() if service != LIFTED)]
        # Without the clock, which would deliver what the lifted-out service's own worker is to deliver.
        worker = [
            *(str(BIN / "celery"), "-q", "-A", "landcontracts", "worker", "-P", "threads", "-c", "2"),
            *("-Q", ",".join(queues), "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        processes.start("worker", worker, env=env, cwd=BASE)
        wait_for_url(f"{url}/readyz", web_process, web_log)
        wait_for_url(f"{address}/readyz", lifted, lifted_log)
        yield Deployment(url, folder, processes)
    finally:
        processes.stop_all()

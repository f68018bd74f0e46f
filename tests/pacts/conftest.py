"""Shared fixtures of the pact tests: one recording, the provider states, and every provider lifted out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from landcontracts.embedded.processes import Processes, free_port, wait_for_url
from landcontracts.embedded.stack import BASE
from tests.pacts import files, uses
from tests.pacts.servers import States

PROVIDERS = tuple(sorted({name.removesuffix(".json").partition("-")[2] for name in files.committed()}))


@pytest.fixture(scope="session")
def generated(database: None) -> dict[str, str]:
    """The pacts of the code as it is."""
    return files.generate(uses.record())


@pytest.fixture(scope="session")
def states(database: None) -> States:
    """Sales in their states; those that only queries use are made once."""
    return States()


class Lifted:
    """Every provider in a process of its own; all start at once, while the monolith is tested."""

    def __init__(self, processes: Processes) -> None:
        env = {**os.environ, "SEAM_HOME": os.environ["WEB_URL"]}
        self._started = {}
        for provider in PROVIDERS:
            address = f"127.0.0.1:{free_port()}"
            # Without its worker: only calls are verified, and a test delivers its own events.
            command = [sys.executable, "manage.py", "serve", provider, "--bind", address, "--no-worker"]
            started = processes.start(provider, command, env=env, cwd=BASE)
            self._started[provider] = (f"http://{address}", *started)

    def address(self, provider: str) -> str:
        """Where a provider answers, when it is ready. Raises: StartFailed."""
        url, process, log = self._started[provider]
        wait_for_url(f"{url}/readyz", process, log)
        return url

    def log(self, provider: str) -> str:
        """The end of a provider's log."""
        _, _, log = self._started[provider]
        return log.read_text(errors="replace")[-3000:]


@pytest.fixture(scope="session")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lifted]:
    """The providers, lifted out."""
    processes = Processes(tmp_path_factory.mktemp("lifted"))
    try:
        yield Lifted(processes)
    finally:
        processes.stop_all()

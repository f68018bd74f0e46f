"""Envoy in front of a running stack, for a person to try and for tests. It comes with the packages for development."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landcontracts.embedded.processes import Process, Processes, StartFailed, free_port, wait_for_url
from landcontracts.gateway.deployment import from_options
from landcontracts.gateway.renderer import text

NAME = "gateway"


def start(
    processes: Processes, folder: Path, upstream: str, *, port: int = 0, options: Mapping[str, Any] | None = None
) -> tuple[str, Process]:
    """Render for loopback and start; the gateway's address. Raises: StartFailed, BadOption."""
    program = Path(sys.executable).parent / "envoy"
    if not program.exists():
        raise StartFailed("there is no Envoy here: `make setup-dev` installs it")
    listen = free_port(port)
    given = {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{free_port()}",
        "upstream": upstream,
        "host": "127.0.0.1",
        **(options or {}),
    }
    file = folder / "envoy.yaml"
    file.write_text(text("envoy", from_options(given)))
    command = [str(program), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warning"]
    command += ["--file-flush-interval-msec", "200"]
    process, log = processes.start(NAME, command)
    # It answers once it has the keys, or knows that there are none to be had.
    wait_for_url(f"http://{given['admin']}/ready", process, log, seconds=30)
    return f"http://{given['listen']}", process

"""Starts Envoy in front of a running stack, for manual trials and tests. The development packages include it."""

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
    """Render for loopback and start; returns the gateway's address and process. Raises: StartFailed, BadOption."""
    program = Path(sys.executable).parent / "envoy"
    if not program.exists():
        raise StartFailed("there is no Envoy here: `make setup-dev` installs it")
    listen = free_port(port)
    rendered = {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{free_port()}",
        "upstream": upstream,
        "host": "127.0.0.1",
        **(options or {}),
    }
    file = folder / "envoy.yaml"
    file.write_text(text("envoy", from_options(rendered)))
    command = [str(program), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warning"]
    command += ["--file-flush-interval-msec", "200"]
    process, log = processes.start(NAME, command)
    # It answers once it has fetched the keys, or failed to.
    wait_for_url(f"http://{rendered['admin']}/ready", process, log, seconds=30)
    return f"http://{rendered['listen']}", process

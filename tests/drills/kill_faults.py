"""Kills and stops whole trees of processes, and starts killed processes again on the same data."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from landcontracts.embedded import postgres
from landcontracts.embedded.processes import Process
from landcontracts.embedded.stack import Stack
from landcontracts.topology import MOVABLE

CONTROLLER, LIFTED, SOURCE, TARGET, WORKER = "controller", "lifted", "source", "target", "worker"
VICTIMS = (CONTROLLER, LIFTED, SOURCE, TARGET, WORKER)
KILL, STOP = "kill -9", "stop"
KINDS = (KILL, STOP)
SHARED_SERVER, PRIMARIES_SERVER = "postgres", "postgres-homes"
GONE_SECONDS = 15
POLL_SECONDS = 0.005


class ProcessId(NamedTuple):
    """A process as the kernel knows it: a pid alone may be another process's a moment later."""

    pid: int
    started: str


def read(pid: int) -> tuple[str, int, str] | None:
    """State, parent and start time of a process; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), fields[19]


def tree_of(root: int) -> set[ProcessId]:
    """A process and its descendants. Sessions are no help: each backend of PostgreSQL has one of its own."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    running = {pid: facts for pid in pids if (facts := read(pid))}
    wanted, grown = {root}, True
    while grown:
        children = {pid for pid, (_, parent, _) in running.items() if parent in wanted}
        grown = not children <= wanted
        wanted |= children
    return {ProcessId(pid, running[pid][2]) for pid in wanted if pid in running}


def stop(root: int) -> set[ProcessId]:
    """Stop a process and its descendants, the parent first, until there is no new one; returns those stopped."""
    stopped: set[ProcessId] = set()
    while new := tree_of(root) - stopped:
        for process in sorted(new, key=lambda process: process.pid != root):
            signal_to(process, signal.SIGSTOP)
        stopped |= new
    return stopped


def resume(stopped: set[ProcessId]) -> None:
    """Let stopped processes continue."""
    for process in stopped:
        signal_to(process, signal.SIGCONT)


def kill(process: Process) -> None:
    """Kill -9 of a whole tree at one moment: no process of it can clean up, or start another one."""
    doomed = stop(process.pid)
    for descendant in doomed:
        signal_to(descendant, signal.SIGKILL)
    process.wait(GONE_SECONDS)
    until(lambda: not any(is_alive(descendant) for descendant in doomed), GONE_SECONDS)


def signal_to(process: ProcessId, kind: signal.Signals) -> None:
    """Signal a process, if it is still the same one."""
    facts = read(process.pid)
    if facts is not None and facts[2] == process.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, kind)


def is_alive(process: ProcessId) -> bool:
    """Whether it still runs."""
    facts = read(process.pid)
    return facts is not None and facts[2] == process.started and facts[0] not in "ZX"


def until(good, seconds: float, *, poll_seconds: float = POLL_SECONDS) -> bool:
    """Wait until a condition holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while not good():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_seconds)
    return True


class Victims:
    """All processes but the controller, by their part in one switch."""

    def __init__(self, stack: Stack, service: str, platform_url: str) -> None:
        self._stack, self._service, self._platform_url = stack, service, platform_url

    def name_of(self, victim: str, origin: str) -> str:
        """The process's name in the stack; `origin` is the alias of the database that the switch closes."""
        if victim in {SOURCE, TARGET}:
            is_shared = (origin == "default") is (victim == SOURCE)
            return SHARED_SERVER if is_shared else PRIMARIES_SERVER
        return self._service if victim == LIFTED else "worker"

    def process(self, name: str) -> Process:
        """The newest process of a name."""
        return next(process for running, process, _ in reversed(self._stack.processes._running) if running == name)

    def is_running(self, name: str) -> bool:
        """Whether the stack has a process of a name."""
        return any(running == name for running, _, _ in self._stack.processes._running)

    def start_again(self, name: str) -> None:
        """Start a killed process again, on the same data and the same port."""
        stack = self._stack
        if name == "worker":
            stack.start_worker()
        elif name == self._service:
            stack.start_lifted(self._service, self._platform_url)
        else:
            is_shared = name == SHARED_SERVER
            postgres.start(
                stack.processes,
                stack.folder,
                stack.secrets,
                durable=stack._durable,
                name=name,
                databases=(postgres.DATABASE,) if is_shared else MOVABLE,
                port=(stack.shared if is_shared else stack.primaries).port,
            )

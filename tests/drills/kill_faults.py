"""Killing and stopping whole trees of processes, and starting again, as it was, what was killed."""

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
SHARED_SERVER, HOMES_SERVER = "postgres", "postgres-homes"
GONE_SECONDS = 15
LOOK_SECONDS = 0.005


class Known(NamedTuple):
    """A process as the kernel knows it: a pid alone may belong to somebody else a moment later."""

    pid: int
    started: str


def read(pid: int) -> tuple[str, int, str] | None:
    """State, parent and start time of a process; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), fields[19]


def tree_of(root: int) -> set[Known]:
    """A process and whoever descends from it. Sessions do not tell: each backend of PostgreSQL has one of its own."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    found = {pid: facts for pid in pids if (facts := read(pid))}
    wanted, grown = {root}, True
    while grown:
        children = {pid for pid, (_, parent, _) in found.items() if parent in wanted}
        grown = not children <= wanted
        wanted |= children
    return {Known(pid, found[pid][2]) for pid in wanted if pid in found}


def stop(root: int) -> set[Known]:
    """Stop a process and its descendants, the parent first, until there is no new one: those who were stopped."""
    stopped: set[Known] = set()
    while new := tree_of(root) - stopped:
        for one in sorted(new, key=lambda one: one.pid != root):
            signal_to(one, signal.SIGSTOP)
        stopped |= new
    return stopped


def go_on(stopped: set[Known]) -> None:
    """Let them continue."""
    for one in stopped:
        signal_to(one, signal.SIGCONT)


def kill(process: Process) -> None:
    """Kill -9 of a whole tree at one moment: nobody in it can clean up, or start another one."""
    doomed = stop(process.pid)
    for one in doomed:
        signal_to(one, signal.SIGKILL)
    process.wait(GONE_SECONDS)
    until(lambda: not any(is_alive(one) for one in doomed), GONE_SECONDS)


def signal_to(one: Known, kind: signal.Signals) -> None:
    """Signal a process, if it is still the same one."""
    facts = read(one.pid)
    if facts is not None and facts[2] == one.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, kind)


def is_alive(one: Known) -> bool:
    """Whether it still runs."""
    facts = read(one.pid)
    return facts is not None and facts[2] == one.started and facts[0] not in "ZX"


def until(good, seconds: float, *, look: float = LOOK_SECONDS) -> bool:
    """Wait until something is so; whether it was, in time."""
    deadline = time.monotonic() + seconds
    while not good():
        if time.monotonic() > deadline:
            return False
        time.sleep(look)
    return True


class Victims:
    """Everybody but the controller, by the part played in one switch."""

    def __init__(self, stack: Stack, service: str, home: str) -> None:
        self._stack, self._service, self._home = stack, service, home

    def name_of(self, victim: str, origin: str) -> str:
        """The process's name in the stack; `origin` is the alias of the database that the switch closes."""
        if victim in {SOURCE, TARGET}:
            is_shared = (origin == "default") is (victim == SOURCE)
            return SHARED_SERVER if is_shared else HOMES_SERVER
        return self._service if victim == LIFTED else "worker"

    def process(self, name: str) -> Process:
        """The newest process of a name."""
        return next(process for known, process, _ in reversed(self._stack.processes._running) if known == name)

    def is_there(self, name: str) -> bool:
        """Whether the stack has a process of a name."""
        return any(known == name for known, _, _ in self._stack.processes._running)

    def start_again(self, name: str) -> None:
        """What was killed, on the same data and the same port."""
        stack = self._stack
        if name == "worker":
            stack.start_worker()
        elif name == self._service:
            stack.start_lifted(self._service, self._home)
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

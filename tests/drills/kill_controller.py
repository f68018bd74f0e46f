"""`manage.py extraction …` as a process of its own: to be observed, stopped, killed and waited for.

Each is forked from one process in which Django is set up, which saves a second and a half of imports each time; arguments, output and
exit status are the command line's.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

import django
from django.core.management import execute_from_command_line

from tests.drills.kill_faults import ProcessId, read, signal_to, until

django.setup()
_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tests.drills.kill_controller", "landcontracts.urls"])
COMMAND_SECONDS = 60


def _run(arguments: list[str], output: Connection) -> None:
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the process lives
    execute_from_command_line(["manage.py", "extraction", *arguments])


class Controller:
    """One action on a service, and its output."""

    PAUSE_PREFIX = "writes waited"

    def __init__(self, service: str, action: str, *options: str) -> None:
        self.action = action
        self.lines: list[str] = []
        self.has_switched = threading.Event()
        reader, writer = _forkserver.Pipe(duplex=False)
        self._process = _forkserver.Process(target=_run, args=([service, action, *options], writer), daemon=True)
        self._process.start()
        writer.close()
        facts = read(self._process.pid or 0)
        self._identity = ProcessId(self._process.pid or 0, facts[2] if facts else "")
        self._reader = threading.Thread(target=self._read, args=(reader,), name="controller", daemon=True)
        self._reader.start()

    def _read(self, reader: Connection) -> None:
        with reader, open(reader.fileno(), closefd=False, errors="replace") as lines:
            for line in lines:
                self.lines.append(line.rstrip())
                if line.startswith(self.PAUSE_PREFIX):
                    self.has_switched.set()
        self.has_switched.set()

    @property
    def is_stopped(self) -> bool:
        facts = read(self._identity.pid)
        return facts is not None and facts[2] == self._identity.started and facts[0] == "T"

    @property
    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.exitcode

    @property
    def last_line(self) -> str:
        """Its last line of output."""
        return next((line for line in reversed(self.lines) if line.strip()), "nothing")

    def halts(self, seconds: float = COMMAND_SECONDS) -> bool:
        """Wait until it has stopped before its step; False where it has ended instead."""
        until(lambda: self.is_stopped or self.has_ended, seconds)
        return self.is_stopped

    def send(self, kind: signal.Signals) -> None:
        """Signal it, if it has not ended."""
        signal_to(self._identity, kind)

    def ends(self, seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return False
        self._reader.join(5)
        return True


def run_action(service: str, *words: str) -> None:
    """Run an action to its end, without a fault. Raises: RuntimeError."""
    controller = Controller(service, *words)
    if not controller.ends(COMMAND_SECONDS) or controller.status:
        controller.send(signal.SIGKILL)
        raise RuntimeError(f"{' '.join(words)}: {' | '.join(controller.lines[-5:])}")


def prepare(service: str) -> None:
    """Make the service's own database, fill it, let it follow, and verify it."""
    for action in ("prepare", "sync", "verify"):
        run_action(service, action)

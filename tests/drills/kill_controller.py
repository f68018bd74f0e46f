"""`manage.py extraction …` as a process of its own: to be watched, stopped, killed and waited for.

Each is forked from one process in which Django is ready, which saves a second and a half of imports each time; from there on it is the
command line's own way, arguments, output and exit status.
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

from tests.drills.kill_faults import Known, read, signal_to, until

django.setup()
_ready = multiprocessing.get_context("forkserver")
_ready.set_forkserver_preload(["tests.drills.kill_controller", "landcontracts.urls"])
COMMAND_SECONDS = 60


def _run(arguments: list[str], output: Connection) -> None:
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the process lives
    execute_from_command_line(["manage.py", "extraction", *arguments])


class Controller:
    """One action on a service, and what it said."""

    PAUSE_TOLD = "writes waited"

    def __init__(self, service: str, verb: str, *options: str) -> None:
        self.verb = verb
        self.lines: list[str] = []
        self.has_switched = threading.Event()
        reader, writer = _ready.Pipe(duplex=False)
        self._process = _ready.Process(target=_run, args=([service, verb, *options], writer), daemon=True)
        self._process.start()
        writer.close()
        facts = read(self._process.pid or 0)
        self._known = Known(self._process.pid or 0, facts[2] if facts else "")
        self._reader = threading.Thread(target=self._read, args=(reader,), name="controller", daemon=True)
        self._reader.start()

    def _read(self, reader: Connection) -> None:
        with reader, open(reader.fileno(), closefd=False, errors="replace") as lines:
            for line in lines:
                self.lines.append(line.rstrip())
                if line.startswith(self.PAUSE_TOLD):
                    self.has_switched.set()
        self.has_switched.set()

    @property
    def is_stopped(self) -> bool:
        facts = read(self._known.pid)
        return facts is not None and facts[2] == self._known.started and facts[0] == "T"

    @property
    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.exitcode

    @property
    def said(self) -> str:
        """Its last word."""
        return next((line for line in reversed(self.lines) if line.strip()), "nothing")

    def stands(self, seconds: float = COMMAND_SECONDS) -> bool:
        """Wait until it stands before its step; False where it has ended instead."""
        until(lambda: self.is_stopped or self.has_ended, seconds)
        return self.is_stopped

    def send(self, kind: signal.Signals) -> None:
        """Signal it, if it has not ended."""
        signal_to(self._known, kind)

    def ends(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return False
        self._reader.join(5)
        return True


def done(service: str, *words: str) -> None:
    """Do something that nobody disturbs. Raises: RuntimeError."""
    controller = Controller(service, *words)
    if not controller.ends(COMMAND_SECONDS) or controller.status:
        controller.send(signal.SIGKILL)
        raise RuntimeError(f"{' '.join(words)}: {' | '.join(controller.lines[-5:])}")


def prepare(service: str) -> None:
    """Its own database made, filled, following and verified."""
    for verb in ("prepare", "sync", "verify"):
        done(service, verb)

"""Starts and ends the processes of one stack, each by its own pid; `guard.py` ends those that a killed run leaves."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from landcontracts.embedded import guard
from landcontracts.embedded.guard import Guard
from landcontracts.server.options import inner_of

STOP_SECONDS = 15
SAY_EACH_SECONDS = 20
Process = subprocess.Popen[bytes]


class StartFailed(Exception):
    """A process ended or did not become ready; the message has the end of its log."""


def free_port(preferred: int = 0) -> int:
    """The preferred port on loopback if it is free, and the next one too, else any such. Raises: StartFailed.

    The next one is a web server's for its operator. Below the ports that the system gives to connections (Linux: from 32768), so that no connection takes it meanwhile.
    """
    for port in (*((preferred,) if preferred else ()), *random.sample(range(12_000, 32_000), 100)):
        with socket.socket() as probe, socket.socket() as next_probe, contextlib.suppress(OSError):
            for offset, sock in enumerate((probe, next_probe)):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("127.0.0.1", port + offset))
            return int(port)
    raise StartFailed("no free port")


def inner_url(url: str) -> str:
    """The operator's address of a web server of ours on this machine, by its public one."""
    return f"http://{inner_of(url.removeprefix('http://'))}"


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Wait until a process listens at the port. Raises: StartFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise StartFailed(f"{log.name}: {_tail(log)}")


def wait_for_url(
    url: str,
    process: subprocess.Popen[bytes],
    log: Path,
    seconds: float = 60,
    *,
    say: Callable[[str], None] | None = None,
) -> None:
    """Wait until a URL answers 200, and `say` so now and then where it takes long. Raises: StartFailed."""
    started = said = time.monotonic()
    while time.monotonic() < started + seconds and process.poll() is None:
        if say is not None and time.monotonic() - said > SAY_EACH_SECONDS:
            said = time.monotonic()
            say(f"still starting after {said - started:.0f} s ({log}) … ")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise StartFailed(f"{log.name}: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else "no log"


class Processes:
    """The processes of one stack, ended in the reverse order of their start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "pids.json"
        self._running: list[tuple[str, subprocess.Popen[bytes], signal.Signals]] = []
        self._begin: dict[str, Callable[[], object]] = {}
        # Of a run whose guard was killed as well.
        guard.finish(guard.stop(guard.recorded(self._record)), grace_seconds=STOP_SECONDS)
        self._record.unlink(missing_ok=True)
        self._guard = Guard(self._record)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a process in its own session; its output goes into a log of its name."""
        log = self._folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        again = name in self._begin
        self._begin[name] = lambda: self.start(name, command, env=env, cwd=cwd, user=user, stop=stop)
        with log.open("ab" if again else "wb") as output:
            process = subprocess.Popen(
                command,
                env={**(os.environ if env is None else env), guard.MARK: self._guard.mark},
                cwd=cwd,
                user=user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((name, process, stop))
        self._save()
        return process, log

    @property
    def environment(self) -> dict[str, str]:
        """What marks a process as one of this run, for those that are started otherwise."""
        return {guard.MARK: self._guard.mark}

    def ended(self) -> list[str]:
        """The names of processes that have ended by themselves."""
        return [name for name, process, _ in self._running if process.poll() is not None]

    def start_again(self, name: str) -> None:
        """Start a process that has ended, as it was started; its log goes on."""
        self._running = [entry for entry in self._running if entry[0] != name]
        self._begin[name]()

    def forget(self, process: Process) -> None:
        """Stop tracking a process that has ended, or was ended on purpose."""
        self._running = [entry for entry in self._running if entry[1] is not process]
        self._save()

    def stop_all(self) -> None:
        """End every process, by its stop signal first."""
        while self._running:
            _, process, kind = self._running.pop()
            _end(process, kind)
        self._record.unlink(missing_ok=True)
        self._guard.dismiss()

    def _save(self) -> None:
        guard.write_record(
            self._record, self._guard.run_id, [(process.pid, int(kind)) for _, process, kind in self._running]
        )


def _end(process: subprocess.Popen[bytes], kind: signal.Signals) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(kind)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

"""A process beside each stack that ends the processes left by the stack's runner, however the runner ends: kill -9
included.

The runner holds the writing end of a pipe that is this process's standard input. A runner that stops its stack writes a
byte first; when the pipe ends without it, the engines get their stop signals first. Then every process of the run is
killed. A run's processes are found by the record of the stack, and by a mark in their environment, which their own
children inherit even in other sessions.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
import weakref
from pathlib import Path
from typing import BinaryIO

MARK = "LANDCONTRACTS_RUNS"
READY = b"+"
# Engines stop by themselves within this time; then they are killed. All of it takes well under ten seconds.
GRACE_SECONDS = 4.0
POLL_SECONDS = 0.05


class GuardNotStarted(Exception):
    """The guard's process ended at once, so that a killed run would leave its processes."""


class Guard:
    """The runner's side: the guard's process, and the pipe whose end shows it that the runner has ended."""

    def __init__(self, record: Path) -> None:
        self.run_id = uuid.uuid4().hex
        # A run inside another, such as that of a test, has both marks.
        self.mark = ":".join(filter(None, (os.environ.get(MARK, ""), self.run_id)))
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        # By its path: the package would bring Celery with it.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-S", str(Path(__file__).resolve()), str(record.resolve()), self.run_id],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        with self._process.stdout as output:
            if output.read(len(READY)) != READY:
                raise GuardNotStarted

        # A runner that forgets its stack, or ends without stopping it, leaves the rest to the guard.
        self._release = weakref.finalize(self, _release, self._process)

    def dismiss(self) -> None:
        """End the guard of a stopped stack; returns when the processes left by the stack have ended as well."""
        if self._release.detach() is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(b".")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * GRACE_SECONDS)


def _release(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe without the byte: the guard ends the run's processes, while its runner goes on or ends."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1)
    if process.returncode is None:
        process.returncode = 0  # or the interpreter warns of a process that is meant to outlive it


def started_at(pid: int) -> str | None:
    """The start of a process in clock ticks since boot, which with the pid identifies it; None if ended (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def write_record(record: Path, run_id: str, processes: list[tuple[int, int]]) -> None:
    """Write a run's processes, as (pid, stop signal), by a rename, so that a reader sees a whole record."""
    rows = [[pid, started_at(pid), stop] for pid, stop in processes]
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps({"run": run_id, "processes": rows}))
    draft.replace(record)


def recorded(record: Path, run_id: str = "") -> list[tuple[int, str, int]]:
    """The processes of a record, newest first, as (pid, start, stop signal); with `run_id`, of that run only."""
    try:
        content = json.loads(record.read_text())
        if run_id and content["run"] != run_id:
            return []
        return [(int(pid), str(start), int(stop)) for pid, start, stop in reversed(content["processes"]) if start]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def stop(processes: list[tuple[int, str, int]]) -> list[int]:
    """Send each its stop signal. Returns the pids that are still those of the record: another process may have one by now."""
    running = [(pid, number) for pid, start, number in processes if started_at(pid) == start]
    for pid, number in running:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return [pid for pid, _ in running]


def finish(pids: list[int], *, grace_seconds: float = GRACE_SECONDS) -> None:
    """Wait for stopped processes, kill what is left of their groups after `grace_seconds`, and wait for that as well."""
    _wait(pids, grace_seconds)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    _wait(pids, 1)


def _wait(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_is_running(pid) for pid in pids):
        time.sleep(POLL_SECONDS)


def kill_marked(run_id: str, spared: set[int]) -> None:
    """Kill the processes with the run's mark until none is left: one may start another before it is killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (pids := set(marked(run_id)) - spared) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def marked(run_id: str) -> list[int]:
    """The running processes that were started with the run's mark in their environment."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if run_id.encode() in (folder / "environ").read_bytes() and _is_running(int(folder.name)):
                pids.append(int(folder.name))
    return pids


def _is_running(pid: int) -> bool:
    """Whether a process runs; a zombie has ended and waits for its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z"


def main(record: Path, run_id: str, pipe: BinaryIO) -> int:
    """Wait for the runner's end, stop the engines unless it has done so itself, and kill the rest."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    if not pipe.read(1):
        engines = stop(recorded(record, run_id))
        kill_marked(run_id, set(engines))
        finish(engines)
    kill_marked(run_id, set())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer))

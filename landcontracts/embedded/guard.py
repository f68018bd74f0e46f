"""A process beside each stack that ends what the stack's runner leaves behind, however the runner ends: kill -9 included.

The runner holds the writing end of a pipe that is this process's standard input. A runner that stops its stack writes a byte first; when
the pipe ends without it, the engines are asked to stop first. Then everything that the run has started is killed. A run's processes are
known by the record of the stack, and by a mark in their environment, which also reaches what they start in sessions of their own.
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
from pathlib import Path
from typing import BinaryIO

MARK = "LANDCONTRACTS_RUNS"
# Within this time engines stop by themselves; then they are killed. The whole takes well under ten seconds.
GRACE_SECONDS = 4.0
POLL_SECONDS = 0.05


class Guard:
    """The runner's side: the process, and the pipe by which it notices that the runner is gone."""

    def __init__(self, record: Path) -> None:
        self.run_id = uuid.uuid4().hex
        # A run inside another, as a test's, carries both marks.
        self.mark = ":".join(filter(None, (os.environ.get(MARK, ""), self.run_id)))
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "landcontracts.embedded.guard", str(record), self.run_id],
            cwd=Path(__file__).resolve().parent.parent.parent,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The stack is stopped. Returns when what its processes have left behind is ended as well."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(b".", timeout=2 * GRACE_SECONDS)


def started_at(pid: int) -> str | None:
    """When a process began, in clock ticks since boot: with the id it names a process for good. None where there is none (Linux only)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def write_record(record: Path, run_id: str, processes: list[tuple[int, int]]) -> None:
    """Which processes a run has, as (id, signal that stops it). Written by a rename: a reader sees a whole record."""
    rows = [[pid, started_at(pid), stop] for pid, stop in processes]
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps({"run": run_id, "processes": rows}))
    draft.replace(record)


def recorded(record: Path, run_id: str = "") -> list[tuple[int, str, int]]:
    """The processes of a record, newest first, as (id, start, signal); of one run only, if it is named."""
    try:
        known = json.loads(record.read_text())
        if run_id and known["run"] != run_id:
            return []
        return [(int(pid), str(start), int(stop)) for pid, start, stop in reversed(known["processes"]) if start]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def end(processes: list[tuple[int, str, int]], *, grace_seconds: float = GRACE_SECONDS) -> None:
    """Ask each to stop, kill what has not after the grace, and then whatever is left of their process groups."""
    for pid, start, stop in processes:
        if started_at(pid) == start:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, stop)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(_lives(pid, start) for pid, start, _ in processes):
        time.sleep(POLL_SECONDS)
    for pid, _, _ in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def kill_marked(run_id: str, spared: set[int]) -> None:
    """Kill what carries the run's mark, until nothing does: a process may start another before it is killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (pids := set(marked(run_id)) - spared) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def marked(run_id: str) -> list[int]:
    """The living processes that were started with the run's mark in their environment."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if run_id.encode() in (folder / "environ").read_bytes() and _lives(int(folder.name)):
                pids.append(int(folder.name))
    return pids


def _lives(pid: int, start: str = "") -> bool:
    """Whether it runs; a zombie has ended and waits for its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and (not start or fields[19] == start)


def main(record: Path, run_id: str, pipe: BinaryIO) -> int:
    """Wait for the runner's end, stop the engines unless it has done so itself, and kill the rest."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not pipe.read(1):
        engines = recorded(record, run_id)
        kill_marked(run_id, {pid for pid, _, _ in engines})
        end(engines)
    kill_marked(run_id, set())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer))

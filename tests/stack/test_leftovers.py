"""After any end of a run, none of its processes is left ten seconds later: kill -9, SIGTERM to the group, Ctrl-C twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from landcontracts.embedded.stack import BASE

pytestmark = pytest.mark.slow

SECONDS = 10.0
START_SECONDS = 90.0
COPIED = (
    "apps",
    "landcontracts",
    "locale",
    "migrations_playbook",
    "static",
    "templates",
    "manage.py",
    "pyproject.toml",
)
# A test session in short: it starts a process in a session of its own, and one that a stack of its own watches over.
SESSION = """
import subprocess, sys, time
from pathlib import Path
from landcontracts.embedded.processes import Processes
subprocess.Popen(["sleep", "600"], start_new_session=True)
stack = Processes(Path(sys.argv[1]))
stack.start("sleeper", ["sleep", "600"])
Path(sys.argv[1], "begun").touch()
time.sleep(600)
"""


class Run(NamedTuple):
    """A `make` target that runs in a process group of its own; `token` is in the environment of everything that it starts."""

    make: subprocess.Popen[bytes]
    tree: Path
    token: str

    def runner(self) -> int:
        """The process that make started."""
        children = Path(f"/proc/{self.make.pid}/task/{self.make.pid}/children").read_text().split()
        return int(children[0])

    def processes(self) -> dict[int, str]:
        """Its live processes, by id: recognised by the token, or by working in its tree (PostgreSQL overwrites its environment)."""
        alive = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_ours = self.token.encode() in (folder / "environ").read_bytes()
                is_ours = is_ours or (folder / "cwd").readlink().is_relative_to(self.tree)
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if is_ours and state != "Z":
                    alive[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return alive


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code: its stacks and their data are its own."""
    folder = tmp_path_factory.mktemp("tree")
    folder.chmod(0o755)
    for name in COPIED:
        source = BASE / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    (folder / "session.py").write_text(SESSION)
    module = f"@{sys.executable} -m landcontracts.embedded"
    (folder / "Makefile").write_text(
        textwrap.dedent(f"""\
        run:
        \t{module} run --port 0
        test:
        \t{module} exec -- {sys.executable} session.py $(SCRATCH)
        """)
    )
    return folder


@pytest.fixture
def start(tree: Path, tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    """Start a target and return when all of its processes run."""
    started: list[Run] = []

    def begin(target: str) -> Run:
        token = uuid.uuid4().hex
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        make = subprocess.Popen(
            ["make", target, f"SCRATCH={tmp_path}"],
            cwd=tree,
            env={**inherited, "TOKEN": token, "QUIET": "1", "PYTHONPATH": str(tree)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        run = Run(make, tree, token)
        started.append(run)
        wanted = ("celery", "landcontracts.server") if target == "run" else ("sleep 600", "sleep 600")
        deadline = time.monotonic() + START_SECONDS
        while not _has(run, target, wanted, tmp_path):
            assert make.poll() is None, "it has ended"
            assert time.monotonic() < deadline, run.processes()
            time.sleep(0.2)
        return run

    yield begin
    for run in started:
        for pid in run.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run.make.wait(10)


def _has(run: Run, target: str, wanted: tuple[str, ...], scratch: Path) -> bool:
    commands = list(run.processes().values())
    if target == "test":
        return (scratch / "begun").exists() and sum("sleep 600" in command for command in commands) == len(wanted)
    return all(any(word in command for command in commands) for word in wanted)


def killed(run: Run) -> None:
    os.kill(run.runner(), signal.SIGKILL)


def terminated(run: Run) -> None:
    """Make passes a second one on."""
    os.killpg(run.make.pid, signal.SIGTERM)


def interrupted_twice(run: Run) -> None:
    before = len(run.processes())
    os.killpg(run.make.pid, signal.SIGINT)
    while len(run.processes()) == before:  # the first one has begun to stop it
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.make.pid, signal.SIGINT)


@pytest.mark.parametrize("target", ["test", "run"])
@pytest.mark.parametrize("way", [killed, terminated, interrupted_twice])
def test_nothing_is_left_ten_seconds_after_a_run_was_ended(
    start: Callable[[str], Run], target: str, way: Callable[[Run], None]
):
    run = start(target)
    assert len(run.processes()) > 5
    way(run)
    deadline = time.monotonic() + SECONDS
    while (left := run.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == {}

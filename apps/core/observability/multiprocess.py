"""Metrics of several processes as one: the directory that they share (PROMETHEUS_MULTIPROC_DIR), kept clean.

Each process adds to files of its own there, and whichever is asked reads them all. A process that lives holds a lock on a file of its
own, which the kernel takes from it however it ends: no pid is taken for another's that has it by now. What the dead have counted
is added up in one file, so that sums go on and files do not pile up; what they were at that moment is dropped.

Imported before the settings, and before any metric is made: here is nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PATIENCE_SECONDS = 2.0
ADDED_UP = ("counter", "histogram", "summary")
KINDS = (*ADDED_UP, "gauge")
THE_DEAD = "0"  # no process that runs a server has this pid
_alive: int | None = None


class Busy(Exception):
    """Somebody holds the directory for longer than a scrape may take."""


def folder() -> Path | None:
    """The directory, or None where each process is asked for itself."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


def leave() -> None:
    """This process is asked for itself, or not at all."""
    os.environ.pop(VARIABLE, None)


def join() -> None:
    """Take part, where a directory is set. Whoever comes into one in which nobody lives begins with an empty one."""
    shared = folder()
    if shared is None:
        return
    shared.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Whatever is the matter with metrics, the server starts.
    with contextlib.suppress(Busy), _held(shared):
        if not any(_lives(file) for file in shared.glob("*.alive")):
            for file in (*shared.glob("*.alive"), *(file for kind in KINDS for file in shared.glob(f"{kind}_*.db"))):
                file.unlink(missing_ok=True)
        _announce()
    os.register_at_fork(after_in_child=_announce)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """For the time of a scrape nobody tidies up, and what the dead have left was tidied up before. Raises: Busy."""
    shared = folder()
    if shared is None:
        yield
        return
    with _held(shared):
        for file in shared.glob("*.alive"):
            if file.stem != str(os.getpid()) and not _lives(file):
                _bury(shared, file.stem)
                file.unlink(missing_ok=True)
        yield


def _announce() -> None:
    """Hold this process's own file for as long as it lives."""
    global _alive
    shared = folder()
    if shared is None:
        return
    if _alive is not None:
        os.close(_alive)  # after a fork: the parent's, which goes on holding it
    for left in shared.glob(f"gauge_live*_{os.getpid()}.db"):
        left.unlink(missing_ok=True)  # of somebody before us with this pid
    _alive = os.open(shared / f"{os.getpid()}.alive", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        fcntl.flock(_alive, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lives(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _bury(shared: Path, pid: str) -> None:
    """Add up what a dead process has counted, and drop the rest. A kill between the last two lines counts it twice."""
    from prometheus_client.mmap_dict import MmapedDict

    for file in shared.glob(f"gauge_*_{pid}.db"):
        file.unlink(missing_ok=True)
    for kind in ADDED_UP:
        file = shared / f"{kind}_{pid}.db"
        if not file.exists():
            continue
        sums = MmapedDict(str(shared / f"{kind}_{THE_DEAD}.db"))
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(file)):
            sums.write_value(key, sums.read_value(key)[0] + value, timestamp)
        sums.close()
        file.unlink()


@contextlib.contextmanager
def _held(shared: Path) -> Iterator[None]:
    """The directory's lock. Raises: Busy, when its holder was stopped in the middle."""
    descriptor = os.open(shared / "directory.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Busy(f"{shared} is held by another process") from None
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)

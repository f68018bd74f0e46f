"""Combines the metrics of several processes in a shared directory (PROMETHEUS_MULTIPROC_DIR), and cleans that
directory.

Each process writes files of its own there, and the process that is scraped reads them all. A live process holds a lock
on a file of its own, which the kernel releases however the process ends, so a reused pid is not taken for a live
process. The counts of dead processes are added up in one file, so that sums continue and files do not accumulate; their
gauges are dropped.

Imported before the settings, and before any metric is created, so it imports only the standard library at first.
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
DEAD = "0"  # no process that runs a server has this pid
_alive: int | None = None


class Busy(Exception):
    """Another process holds the directory for longer than a scrape may take."""


def folder() -> Path | None:
    """The directory, or None where each process is scraped by itself."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path else None


def leave() -> None:
    """Take no part: this process is scraped by itself, or not at all."""
    os.environ.pop(VARIABLE, None)


def join() -> None:
    """Take part, where a directory is set. A process that finds no live one in it empties it first."""
    shared = folder()
    if shared is None:
        return
    shared.mkdir(parents=True, exist_ok=True, mode=0o700)
    # An error of metrics must not keep the server from starting.
    with contextlib.suppress(Busy), _held(shared):
        if not any(_is_alive(file) for file in shared.glob("*.alive")):
            for file in (*shared.glob("*.alive"), *(file for kind in KINDS for file in shared.glob(f"{kind}_*.db"))):
                file.unlink(missing_ok=True)
        _announce()
    os.register_at_fork(after_in_child=_announce)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Add up the files of dead processes, and lock the directory for the length of a scrape. Raises: Busy."""
    shared = folder()
    if shared is None:
        yield
        return
    with _held(shared):
        for file in shared.glob("*.alive"):
            if file.stem != str(os.getpid()) and not _is_alive(file):
                _add_up(shared, file.stem)
                file.unlink(missing_ok=True)
        yield


def _announce() -> None:
    """Lock this process's own file for the lifetime of the process."""
    global _alive
    shared = folder()
    if shared is None:
        return
    if _alive is not None:
        os.close(_alive)  # after a fork: the parent's, which keeps its lock
    for file in shared.glob(f"gauge_live*_{os.getpid()}.db"):
        file.unlink(missing_ok=True)  # of an earlier process with this pid
    _alive = os.open(shared / f"{os.getpid()}.alive", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        fcntl.flock(_alive, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_alive(file: Path) -> bool:
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


def _add_up(shared: Path, pid: str) -> None:
    """Add up a dead process's counts and drop its gauges. A kill between the last two lines counts them twice."""
    from prometheus_client.mmap_dict import MmapedDict

    for file in shared.glob(f"gauge_*_{pid}.db"):
        file.unlink(missing_ok=True)
    for kind in ADDED_UP:
        file = shared / f"{kind}_{pid}.db"
        if not file.exists():
            continue
        sums = MmapedDict(str(shared / f"{kind}_{DEAD}.db"))
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(file)):
            sums.write_value(key, sums.read_value(key)[0] + value, timestamp)
        sums.close()
        file.unlink()


@contextlib.contextmanager
def _held(shared: Path) -> Iterator[None]:
    """Hold the directory's lock. Raises: Busy, when its holder was stopped in the middle."""
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

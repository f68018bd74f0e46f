"""The prepared process that opens files (`file_probe.py`): started at the first file, asked by a socket."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from apps.core.interface.errors import ServiceBusy

PROGRAM = Path(__file__).with_name("file_probe.py")
AT_ONCE = 2
# The time of the clock, on a busy machine too; the kernel ends a probe after five seconds of the processor.
WAIT_SECONDS = 30.0
_turns = threading.BoundedSemaphore(AT_ONCE)
_lock = threading.Lock()
_running: tuple[int, subprocess.Popen[bytes], socket.socket] | None = None


def examine(kind: bytes, file: IO[bytes]) -> dict[str, Any]:
    """The answer of the probe about a file on disk: `problem`, `active`; a probe that was ended says `too_complex`.

    Raises: ServiceBusy when no probe was free, or none answered, in time.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    if not _turns.acquire(timeout=WAIT_SECONDS):
        raise ServiceBusy
    try:
        return _asked(kind, file, deadline)
    finally:
        _turns.release()


def _asked(kind: bytes, file: IO[bytes], deadline: float) -> dict[str, Any]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for _ in range(2):
            try:
                socket.send_fds(_orders(), [kind], [file.fileno(), theirs.fileno()])
                break
            except OSError:  # the process was ended: it is started once more
                _end()
        theirs.close()  # what was not sent has an empty answer now
        try:
            ours.settimeout(max(deadline - time.monotonic(), 0.01))
            said: dict[str, Any] = json.loads(ours.recv(65_536) or b"{}")
        except TimeoutError:
            raise ServiceBusy from None
    if "ended" in said:
        by_kernel = said["ended"] in {signal.SIGKILL, signal.SIGXCPU, signal.SIGABRT}
        return {"problem": "too_complex" if by_kernel else "damaged", "active": []}
    if not said:
        raise ServiceBusy  # the prepared process is gone
    return said


def _orders() -> socket.socket:
    """The socket of the prepared process of this process, started where there is none."""
    global _running
    with _lock:
        if _running is not None and (_running[0] != os.getpid() or _running[1].poll() is not None):
            _running[2].close()
            _running = None
        if _running is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                program = subprocess.Popen(
                    [sys.executable, "-I", str(PROGRAM)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": os.environ.get("PATH", "")},
                )
            _running = (os.getpid(), program, ours)
        return _running[2]


@atexit.register
def _end() -> None:
    """End the prepared process, which ends by itself when this one is gone."""
    global _running
    with _lock:
        if _running is not None and _running[0] == os.getpid():
            _, program, orders = _running
            orders.close()
            with contextlib.suppress(OSError):
                program.kill()
            program.wait()
        _running = None

"""Holds the listening sockets, and keeps the wanted number of processes that serve them: one that dies is replaced."""

from __future__ import annotations

import atexit
import contextlib
import errno
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from apps.core import parent
from landcontracts.server.options import STOP_SECONDS, Options

BACKLOG = 1024
# A process that ends before it was ready is started again after this time; so many in a row end the server.
PAUSE_SECONDS = 0.5
ATTEMPTS = 5
log = logging.getLogger(__name__)


class Stopped(Exception):
    """SIGTERM or SIGINT has come."""


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Raises: OSError for an address that is taken."""
    sockets = [_bound(address) for address in (options.bind, options.inner) if address]
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _stop)
    running: dict[int, _Child] = {}
    failures = 0
    try:
        while True:
            while len(running) < options.workers:
                child = _start(options, sockets)
                running[child.pid] = child
            ended = running.pop(_next_ended(), None)
            if ended is None:
                continue  # the first process of a container inherits what others leave
            failures = 0 if ended.was_ready() else failures + 1
            ended.close()
            if failures >= ATTEMPTS:
                print(f"The server does not start: its process ended {failures} times in a row.", file=sys.stderr)
                return 1
            print(
                f'{{"event": "web_process_ended", "level": "error", "pid": {ended.pid}}}', file=sys.stderr, flush=True
            )
            time.sleep(PAUSE_SECONDS if failures else 0)
    except Stopped:
        return 0
    finally:
        for sock in sockets:
            sock.close()  # or connections would wait here for processes that accept no more
        _end(running)


class _Child:
    """A process that serves; it says through a pipe that it is ready."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe

    def was_ready(self) -> bool:
        """Whether it has ever said so."""
        readable, _, _ = select.select([self._pipe], [], [], 0)
        return bool(readable and os.read(self._pipe, 1))

    def close(self) -> None:
        """Forget it."""
        os.close(self._pipe)


def _start(options: Options, sockets: list[socket.socket]) -> _Child:
    reading, writing = os.pipe()
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Child(pid, reading)
    status = 1
    try:
        os.close(reading)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        parent.end_with(supervisor)
        # The application first: it joins its directory of metrics before any is made. The supervisor itself needs none of it.
        import_module(options.application.partition(":")[0])
        from landcontracts.server import loop

        loop.serve(options, sockets, lambda: _say(writing))
        status = 0
    except BaseException:
        logging.basicConfig()
        log.exception("web_process_failed")
    finally:
        atexit._run_exitfuncs()  # spans are sent, a prepared process is ended; this process must not return into the loop above
        sys.stderr.flush()
        os._exit(status)


def _say(pipe: int) -> None:
    os.write(pipe, b"r")
    os.close(pipe)


def _bound(address: str) -> socket.socket:
    if address.startswith("unix://"):
        path = Path(address.removeprefix("unix://"))
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    else:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{address} is no address: host:port or unix:///path")
        host = host.strip("[]")
        sock = _listening(host, int(port))
    sock.setblocking(False)  # several processes accept from it
    return sock


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. Waits for the process of a supervisor that was killed, which is ending. Raises: OSError."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _stop(*_: object) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)  # the stop is under way
    raise Stopped


def _next_ended() -> int:
    pid, _ = os.wait()
    return pid


def _end(running: dict[int, _Child]) -> None:
    """End the processes: by SIGTERM, and by SIGKILL what has not ended in time."""
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS + 2
    for pid in _alive(running, deadline):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _alive(running: dict[int, _Child], deadline: float) -> Iterator[int]:
    """The processes that live on at the deadline."""
    for pid in running:
        while True:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    if time.monotonic() > deadline:
                        yield pid
                        break
                    time.sleep(0.02)
                    continue
            break

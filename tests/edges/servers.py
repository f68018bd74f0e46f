"""The web server with a small application, and raw connections to it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from landcontracts.embedded.processes import Process, Processes, free_port, wait_for_url
from landcontracts.embedded.stack import BASE


class Server:
    """A running server."""

    def __init__(self, port: int, process: Process, log: Path) -> None:
        self.port, self.process, self.log = port, process, log

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            return answer(connection)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One GET."""
        return self.ask(request_of("GET", path, **headers))


def request_of(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request's bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: x",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def echo(method: str, path: str, body: bytes) -> bytes:
    """What the application answers."""
    return f"{method} {path} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()


def code(body: bytes) -> str:
    """The code of a problem."""
    return json.loads(body)["code"]


def send(connection: socket.socket, data: bytes) -> None:
    """Send bytes, unless the connection was closed."""
    with suppress(OSError):
        connection.sendall(data)


def answer(connection: socket.socket, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
    """One whole answer: status, headers in lower case, body. An empty one where the connection was closed: status 0."""
    file = connection.makefile("rb", buffering=0)
    first = _line(file)
    if not first:
        return 0, {}, b""
    headers: dict[str, str] = {}
    while line := _line(file).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    status = int(first.split()[1])
    size = 0 if head or status == 100 else int(headers.get("content-length", 0))
    body = b""
    while len(body) < size and (part := file.read(size - len(body))):
        body += part
    return status, headers, body


def _line(file) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        try:
            byte = file.read(1)
        except ConnectionResetError:
            return b""
        if not byte:
            return line
        line += byte
    return line


class Waiting:
    """Requests that their application holds until `go`."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self._threads: list[threading.Thread] = []

    def begin(self, path: str, count: int = 1, **headers: str) -> None:
        """Send requests, each on a connection of its own."""
        for _ in range(count):
            thread = threading.Thread(
                target=lambda: self.answers.append(self.server.get(path, X_Wait=str(self.folder), **headers))
            )
            thread.start()
            self._threads.append(thread)

    def began(self) -> int:
        """How many the application has begun."""
        return len(list(self.folder.glob("began-*")))

    def go(self) -> None:
        """Let them go on, and read their answers."""
        (self.folder / "go").touch()
        for thread in self._threads:
            thread.join(20)


# The kernel gives it the processes whose parents have ended, as it does to the first process of a container.
SUBREAPER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); os.execv(sys.executable, sys.orig_argv[:1] + sys.argv[1:])"
)


@contextmanager
def running(
    folder: Path, *options: str, files: int = 0, inherits: bool = False, **environment: str
) -> Iterator[Server]:
    """The server, until the block ends. `files`: how many the system lets it open; `inherits`: processes, as of a container."""
    processes = Processes(folder)
    port = free_port()
    limit = ["prlimit", f"--nofile={files}:{files}"] if files else []
    wrapped = ["-c", SUBREAPER] if inherits else []
    command = [*limit, sys.executable, *wrapped, "-m", "landcontracts.server", "--bind", f"127.0.0.1:{port}"]
    command += ["--application", "tests.edges.application:application", *options]
    try:
        process, log = processes.start("server", command, env={**os.environ, **environment}, cwd=BASE)
        wait_for_url(f"http://127.0.0.1:{port}/healthz", process, log)
        yield Server(port, process, log)
    finally:
        processes.stop_all()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)

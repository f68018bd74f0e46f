"""Servers with a chosen behaviour, and a lifted-out service as a process of its own."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from django.conf import settings

from landcontracts.embedded.processes import Process, Processes, wait_for_url
from landcontracts.embedded.stack import BASE

Behaviour = Callable[[socket.socket, int], None]


def read_request(connection: socket.socket) -> bytes:
    """One whole request: head, and body by its length."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return data
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer_of(content: bytes, status: str = "200 OK") -> bytes:
    """An HTTP answer's bytes."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(content), content)


class Behaving:
    """A server that passes every connection and its number to a function, in a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.accepted = 0
        self.done = threading.Event()
        self._behave = behave
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            self._connections.append(connection)
            thread = threading.Thread(target=self._one, args=(connection, self.accepted), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket, number: int) -> None:
        with connection:
            try:
                self._behave(connection, number)
            except OSError:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:  # a caller keeps an idle one open, and its thread would read on
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


def forwarding(url: str, request: bytes) -> bytes:
    """A real server's answer to a request's bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as upstream:
        upstream.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += upstream.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += upstream.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def lifted(service: str, *options: str) -> Iterator[tuple[str, Process]]:
    """The service alone, as `manage.py serve` runs it, at the address that the whole stack knows; options are its own."""
    url = settings.SEAM_AWAY[service]
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder))
        command = [sys.executable, "manage.py", "serve", service, "--bind", url.removeprefix("http://"), *options]
        environment = {**os.environ, "SEAM_HOME": os.environ["WEB_URL"]}
        process, log = processes.start(service, command, env=environment, cwd=BASE)
        try:
            wait_for_url(f"{url}/readyz", process, log)
            yield url, process
        finally:
            processes.stop_all()

"""An HTTP/1.1 client that measures rates: a few keep-alive connections, one thread, a fixed number of requests.

It costs little, because the servers share the machine's cores with it: it reads only the status and the length.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

CONNECTIONS = 8
PATIENCE_SECONDS = 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class LoadFailed(Exception):
    """A server did not answer as expected, or not in time."""


def request(method: str, port: int, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request's bytes."""
    all_headers = {"Host": f"127.0.0.1:{port}", "Accept": "application/json", **headers}
    if body:
        all_headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Client:
    """Connections to one server, kept between batches. Raises: LoadFailed, OSError."""

    def __init__(self, port: int, *, expected: int) -> None:
        self._port = port
        self._expected = b"HTTP/1.1 %d " % expected
        self._sockets: list[socket.socket] = []
        self.last_body = b""

    def rate(self, requests: Sequence[bytes]) -> float:
        """Requests per second over a batch."""
        while len(self._sockets) < CONNECTIONS:
            self._sockets.append(socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS))
        started = time.perf_counter()
        self._exchange(iter(requests), len(requests))
        return len(requests) / (time.perf_counter() - started)

    def close(self) -> None:
        """End the connections."""
        while self._sockets:
            self._sockets.pop().close()

    def _exchange(self, waiting: Iterator[bytes], left: int) -> None:
        received: dict[socket.socket, bytes] = {}
        with selectors.DefaultSelector() as selector:
            for connection in self._sockets:
                if (sent := next(waiting, None)) is not None:
                    received[connection] = b""
                    selector.register(connection, selectors.EVENT_READ)
                    connection.sendall(sent)
            while left:
                ready = selector.select(PATIENCE_SECONDS)
                if not ready:
                    raise LoadFailed(f"port {self._port}: no answer in {PATIENCE_SECONDS} s")
                for key, _ in ready:
                    connection = key.fileobj  # type: ignore[assignment]  # only sockets were registered
                    received[connection] += self._received(connection)
                    if not self._is_whole(received[connection]):
                        continue
                    left -= 1
                    received[connection] = b""
                    if (sent := next(waiting, None)) is not None:
                        connection.sendall(sent)

    def _received(self, connection: socket.socket) -> bytes:
        part = connection.recv(262_144)
        if not part:
            raise LoadFailed(f"port {self._port}: the connection was closed")
        return part

    def _is_whole(self, answer: bytes) -> bool:
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = _LENGTH.search(answer, 0, end)
        if not answer.startswith(self._expected) or length is None:
            raise LoadFailed(f"port {self._port}: {answer[:1000].decode(errors='replace')}")
        self.last_body = answer[end + 4 :]
        return len(self.last_body) >= int(length[1])

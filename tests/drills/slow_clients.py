"""The drill's clients, a process of their own: they trickle, measure, verify or flood. Uses the standard library alone."""

from __future__ import annotations

import collections
import contextlib
import json
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 20.0
RECONNECT_SECONDS = 1.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n"


class Connection:
    """One kept connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.socket: socket.socket | None = None
        self.sent_at = 0.0
        self._data = b""

    def send(self, request: bytes) -> None:
        """Send a request. Raises: OSError."""
        if self.socket is None:
            self.socket = socket.create_connection(self._address, timeout=PATIENCE_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at, self._data = time.perf_counter(), b""
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read once; the status when the answer is whole, 0 when the connection ended. Raises: OSError."""
        part = self.socket.recv(262_144)
        self._data += part
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end:
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            if len(body) >= int(length.partition(b":")[2]):
                if b"connection: close" in head.lower():
                    self.close()
                return int(head.split(b" ", 2)[1])
        if not part:
            self.close()
            return 0
        return None

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None


def measure(address: tuple[str, int], ask: bytes, seconds: float, **_: Any) -> dict[str, Any]:
    """Others: two people who list, and one who asks for health, each with a pause after an answer."""
    host = f"{address[0]}:{address[1]}".encode()
    clients = [(Connection(address), ask), (Connection(address), ask), (Connection(address), HEALTH % host)]
    times: dict[bytes, list[float]] = collections.defaultdict(list)
    failed, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for connection, request in clients:
            try:
                connection.send(request)
                while (status := connection.receive()) is None:
                    pass
            except OSError:
                status = 0
                connection.close()
            failed += status != 200
            times[request].append((time.perf_counter() - connection.sent_at) * 1000)
        time.sleep(0.005)
    return {
        "seconds": round(seconds, 1),
        "p99_ms": round(quantiles(times[ask], n=100, method="inclusive")[98], 1),
        "health_max_ms": round(max(times[HEALTH % host]), 1),
        "failed": failed,
    }


def trickle(address: tuple[str, int], heads: list[str], connections: int, **_: Any) -> None:
    """Hold so many connections, each with a header and then a byte a second; one that is closed comes again."""
    open_since: dict[int, float] = {}
    sockets: dict[int, socket.socket] = {}
    while True:
        now = time.monotonic()
        for number in range(connections):
            try:
                if number not in sockets:
                    if now - open_since.get(number, 0) < RECONNECT_SECONDS:
                        continue
                    open_since[number] = now
                    sockets[number] = socket.create_connection(address, timeout=5)
                    sockets[number].sendall(heads[number % len(heads)].encode())
                    sockets[number].setblocking(False)
                else:
                    sockets[number].send(b"x")
                    with contextlib.suppress(BlockingIOError):
                        if not sockets[number].recv(65_536):
                            raise ConnectionResetError
            except OSError:
                if number in sockets:
                    sockets.pop(number).close()
        time.sleep(max(now + 1 - time.monotonic(), 0))


def verify(address: tuple[str, int], requests: list[str], **_: Any) -> dict[str, int]:
    """Send all requests at a time, each again when it is answered, until SIGTERM; then count the answers."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    statuses: collections.Counter[str] = collections.Counter()
    waiting = {Connection(address): request.encode() for request in requests}
    with selectors.DefaultSelector() as selector:
        begin(selector, waiting)
        deadline = time.monotonic() + 100
        while selector.get_map() and time.monotonic() < deadline:
            for key, _mask in selector.select(0.2):
                connection = key.data
                status = connection.receive()
                if status is None:
                    continue
                statuses[str(status)] += 1
                selector.unregister(key.fileobj)
                if not stopped:
                    time.sleep(0.2 if status == 429 else 0)
                    begin(selector, {connection: waiting[connection]})
    return dict(statuses)


def begin(selector: selectors.BaseSelector, requests: dict[Connection, bytes]) -> None:
    for connection, request in requests.items():
        connection.send(request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)


def closed(address: tuple[str, int], ask: bytes, clients: int, seconds: float, **_: Any) -> dict[str, Any]:
    """So many clients, each of which sends its next request when it has its answer."""
    return flood(address, ask, [Connection(address) for _ in range(clients)], seconds, rate=0)


def opened(address: tuple[str, int], ask: bytes, connections: int, rate: float, seconds: float, **_: Any) -> Any:
    """So many requests a second, whether or not they are answered; one connection for each that is under way."""
    return flood(address, ask, [Connection(address) for _ in range(connections)], seconds, rate=rate)


def flood(
    address: tuple[str, int], ask: bytes, connections: list[Connection], seconds: float, *, rate: float
) -> dict[str, Any]:
    good: list[float] = []
    statuses: collections.Counter[int] = collections.Counter()
    free, sent = list(connections), 0
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        while (now := time.perf_counter()) < started + seconds:
            due = len(free) if not rate else min(int((now - started) * rate) - sent, len(free))
            for _ in range(due):
                connection = free.pop()
                try:
                    begin(selector, {connection: ask})
                    sent += 1
                except OSError:
                    connection.close()
                    free.append(connection)
                    statuses[0] += 1
            if rate:  # what no connection is free for is lost: the load does not gather
                sent = max(sent, int((now - started) * rate) - len(free))
            for key, _mask in selector.select(0.002):
                connection = key.data
                try:
                    status = connection.receive()
                except OSError:
                    status = 0
                if status is None:
                    continue
                statuses[status] += 1
                if status == 200:
                    good.append((time.perf_counter() - connection.sent_at) * 1000)
                selector.unregister(key.fileobj)
                if status == 0:
                    connection.close()
                free.append(connection)
    taken = time.perf_counter() - started
    return {
        "goodput": len(good) / taken,
        "p99_ms": round(quantiles(good, n=100, method="inclusive")[98], 1) if len(good) > 1 else 0.0,
        "shed": statuses[503],
        "sent": sum(statuses.values()),
        "failed": {str(status): count for status, count in statuses.items() if status not in {200, 503}},
    }


MODES = {"measure": measure, "trickle": trickle, "verify": verify, "closed": closed, "open": opened}


def main(path: str) -> None:
    """Read the options and begin."""
    file = Path(path)
    options = json.loads(file.read_text())
    file.unlink()
    parts = urlsplit(options.pop("url"))
    if "ask" in options:
        options["ask"] = options["ask"].encode()
    said = MODES[options.pop("mode")]((str(parts.hostname), int(parts.port or 80)), **options)
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])

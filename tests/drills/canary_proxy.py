"""What stands at the lifted-out service's address: hands its calls on, and breaks them in a chosen way.

The seal covers the path, the body and the time, and not the host, so that neither side notices who is in between.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.drills.canary_traffic import Traffic

ERROR, SLOW, HANG, WRONG, REFUSED = "error", "slow", "hang", "wrong", "refused"
HANG_SECONDS = 20
UPSTREAM_SECONDS = 10
PATIENCE_SECONDS = 60
OK = b" 200 "


class Fault(NamedTuple):
    """How calls are broken: `share` of them, for `on_seconds` of every `every_seconds` (always, where 0), after `after_seconds`."""

    kind: str
    share: float = 1.0
    seconds: float = 0.0
    after_seconds: float = 0.0
    on_seconds: float = 0.0
    every_seconds: float = 0.0

    def is_on(self, age: float) -> bool:
        """Whether it breaks anything so many seconds after it was set."""
        since = age - self.after_seconds
        return since >= 0 and (not self.every_seconds or since % self.every_seconds < self.on_seconds)


class Message(NamedTuple):
    """A request or an answer, whole."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        return self.head + b"\r\n\r\n" + self.body


class Gone(Exception):
    """The other end closed the connection."""


class Proxy:
    """Listens at one address and hands on to another. A context; a thread for each connection."""

    def __init__(self, url: str, upstream: str, traffic: Traffic) -> None:
        self._to = (urlsplit(upstream).hostname or "", urlsplit(upstream).port or 0)
        self._traffic = traffic
        self._fault: Fault | None = None
        self._set_at = 0.0
        self._mended = threading.Event()
        self._open: set[socket.socket] = set()
        self._random = random.Random(1)
        self.calls = self.broken = 0
        self.address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self._listening = socket.create_server(self.address, backlog=64)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mended.set()
        # A thread that waits in accept() keeps the address until it is woken.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def break_with(self, fault: Fault) -> float:
        """From now on; when it begins, by the wall clock."""
        self._mended.clear()
        self._set_at, self._fault = time.time(), fault
        return self._set_at + fault.after_seconds

    def mend(self) -> None:
        """Hand on everything again."""
        self._fault = None
        self._mended.set()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="proxied", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(connection)
        upstream = _Upstream(self._to)
        try:
            with connection, contextlib.suppress(OSError, Gone):
                while True:
                    self._one(connection, upstream)
        finally:
            self._open.discard(connection)
            upstream.close()

    def _one(self, connection: socket.socket, upstream: _Upstream) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        request = receive(connection)
        method = request.head.split(b" ", 2)[1].rsplit(b"/", 1)[-1].decode("latin-1")
        fault = self._applies(method)
        self.calls += 1
        if fault is None:
            connection.sendall(upstream.exchange(request).raw)
            return
        self.broken += 1
        if fault.kind == HANG:
            self._mended.wait(HANG_SECONDS)
            raise Gone
        if fault.kind == ERROR:
            connection.sendall(_answer("500 Internal Server Error", b'{"fault":"drill"}'))
        elif fault.kind == REFUSED:
            connection.sendall(_answer("404 Not Found", self._traffic.refusal))
        elif fault.kind == SLOW:
            time.sleep(fault.seconds)
            connection.sendall(upstream.exchange(request).raw)
        else:
            connection.sendall(self._wrong(upstream.exchange(request)))

    def _applies(self, method: str) -> Fault | None:
        fault = self._fault
        if fault is None or not fault.is_on(time.time() - self._set_at):
            return None
        only = {WRONG: self._traffic.query, REFUSED: self._traffic.command}.get(fault.kind)
        if method not in (self._traffic.query, self._traffic.command) or (only and method != only):
            return None
        return fault if self._random.random() < fault.share else None

    def _wrong(self, answer: Message) -> bytes:
        if OK not in answer.head.split(b"\r\n", 1)[0]:
            return answer.raw
        content = json.loads(answer.body)
        content[self._traffic.field] = self._traffic.wrong
        return _answer("200 OK", json.dumps(content, ensure_ascii=False).encode())


class _Upstream:
    """One kept connection to the real process; another one where it was closed meanwhile."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._kept: socket.socket | None = None

    def exchange(self, request: Message) -> Message:
        """Hand on and bring back. Raises: OSError, Gone."""
        if self._kept is not None:
            try:
                return self._exchange(self._kept, request)
            except (ConnectionError, Gone):
                self.close()
        self._kept = socket.create_connection(self._address, timeout=UPSTREAM_SECONDS)
        self._kept.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._exchange(self._kept, request)

    @staticmethod
    def _exchange(connection: socket.socket, request: Message) -> Message:
        connection.sendall(request.raw)
        return receive(connection)

    def close(self) -> None:
        """Keep no connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def receive(connection: socket.socket) -> Message:
    """One whole message with a Content-Length (RFC 9112, section 6.3). Raises: OSError; Gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n")[1:]:
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += _more(connection)
    return Message(head, body)


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise Gone
    return received


def _answer(status: str, content: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode("latin-1") + content

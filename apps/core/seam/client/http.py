"""A thin keep-alive HTTP/1.1 client for the seam: POST bytes, get a whole answer or a typed failure.

General clients cost 149 to 683 us a call, a raw socket 67. This one parses only what a seam answer may be (RFC 9112):
a status line, headers, and a body by Content-Length or chunks. Timeouts are in seconds.
"""

from __future__ import annotations

import atexit
import socket
import threading
import time
from urllib.parse import urlsplit

from apps.core.interface.errors import FailureKind, RemoteCallFailed

MAX_HEADER = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


class _Idle(dict[str, socket.socket]):
    """A thread's idle connections by address, which are closed with the thread."""

    def close(self) -> None:
        while self:
            self.popitem()[1].close()

    __del__ = close


class _Pool(threading.local):
    def __init__(self) -> None:
        self.idle = _Idle()


_pool = _Pool()


class _Stale(Exception):
    """An idle connection turned out to be closed before a byte of the answer came."""


class Address:
    """Where a server listens: `http://host:port`, or `unix:///path` for a socket of this machine."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.is_unix = parts.scheme == "unix"
        if not self.is_unix and (parts.scheme != "http" or not parts.hostname):
            raise ValueError(f"{url} is no address of a seam: http://host:port or unix:///path")
        if not self.is_unix and (parts.path not in {"", "/"} or parts.query):
            raise ValueError(f"{url} is no address of a seam: it has a path")
        self.path = parts.path
        self.host, self.port = parts.hostname or "localhost", parts.port or 80
        # urlsplit removes the brackets of an IPv6 address (RFC 3986, section 3.2.2).
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.header = "localhost" if self.is_unix else f"{host}:{self.port}"

    def connect(self, timeout_seconds: float) -> socket.socket:
        """A new connection. Raises: OSError."""
        if self.is_unix:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout_seconds)
            try:
                sock.connect(self.path)
            except OSError:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((self.host, self.port), timeout=timeout_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def post(address: Address, path: str, headers: str, body: bytes, timeout_seconds: float) -> tuple[int, bytes]:
    """Send a request and read its whole answer: status and body. `headers` are lines, each with its line end.

    Raises: RemoteCallFailed, with `may_have_executed` False only when no connection could be made.
    """
    deadline = time.monotonic() + timeout_seconds
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.header}\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode("latin-1") + body
    idle = _take(address)
    if idle is not None:
        try:
            return _exchange(idle, address, request, deadline)
        except _Stale:
            pass
    try:
        fresh = address.connect(max(deadline - time.monotonic(), 0.001))
    except OSError as error:
        kind = FailureKind.TIMEOUT if isinstance(error, TimeoutError) else FailureKind.UNREACHABLE
        raise RemoteCallFailed(f"no connection: {error}", may_have_executed=idle is not None, kind=kind) from error
    try:
        return _exchange(fresh, address, request, deadline)
    except _Stale as error:
        raise RemoteCallFailed("the connection was closed without an answer", may_have_executed=True) from error


def get(address: Address, path: str, timeout_seconds: float) -> tuple[int, bytes]:
    """One GET on a new connection: status and body. Raises: RemoteCallFailed, OSError."""
    deadline = time.monotonic() + timeout_seconds
    request = f"GET {path} HTTP/1.1\r\nHost: {address.header}\r\nConnection: close\r\n\r\n".encode("latin-1")
    try:
        return _exchange(address.connect(timeout_seconds), address, request, deadline)
    except _Stale as error:
        raise RemoteCallFailed("the connection was closed without an answer", may_have_executed=True) from error


@atexit.register
def close_idle() -> None:
    """Close the idle connections of this thread."""
    _pool.idle.close()


def _take(address: Address) -> socket.socket | None:
    sock = _pool.idle.pop(address.url, None)
    if sock is None:
        return None
    try:
        sock.settimeout(0)
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return sock
    except OSError:
        pass
    # Closed meanwhile, or unrequested bytes came, which would be read as the answer to the next call.
    sock.close()
    return None


def _exchange(sock: socket.socket, address: Address, request: bytes, deadline: float) -> tuple[int, bytes]:
    reader = _Reader(sock, deadline)
    try:
        reader.arm()
        try:
            sock.sendall(request)
            status, headers = reader.head()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _Stale from error
        body = reader.body(headers)
    except _Stale:
        sock.close()
        raise
    except (OSError, ValueError) as error:
        sock.close()
        kind = FailureKind.TIMEOUT if isinstance(error, TimeoutError) else FailureKind.BROKEN
        raise RemoteCallFailed(f"no complete answer: {error}", may_have_executed=True, kind=kind) from error
    if headers.get("connection", "").lower() == "close" or reader.has_more:
        sock.close()
    else:
        _pool.idle[address.url] = sock
    return status, body


class _Ended(ValueError):
    """The peer closed the connection."""


class _Reader:
    """Reads one response, never past the deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._data = b""

    @property
    def has_more(self) -> bool:
        """Whether bytes came after the answer, which makes the connection unusable."""
        return bool(self._data)

    def arm(self) -> None:
        seconds_left = self._deadline - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError("out of time")
        self._sock.settimeout(seconds_left)

    def head(self) -> tuple[int, dict[str, str]]:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > MAX_HEADER:
                raise ValueError("the header is too long")
            try:
                self._fill()
            except _Ended as error:
                if not self._data:
                    raise _Stale from error
                raise
        lines = self._data[:end].decode("latin-1").split("\r\n")
        self._data = self._data[end + 4 :]
        version, status = lines[0].split(" ", 2)[:2]
        if not version.startswith("HTTP/1."):
            raise ValueError("not HTTP/1")
        pairs = (line.partition(":") for line in lines[1:])
        return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" not in headers:
            raise ValueError("an answer of unknown length cannot be known to be whole")
        return self._exactly(int(headers["content-length"]))

    def _exactly(self, size: int) -> bytes:
        if not 0 <= size <= MAX_BODY:
            raise ValueError("the body is too long")
        while len(self._data) < size:
            self._fill()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _fill(self) -> None:
        self.arm()
        received = self._sock.recv(65536)
        if not received:
            raise _Ended("the answer ended early")
        self._data += received

    def _line(self) -> bytes:
        while (end := self._data.find(b"\r\n")) < 0:
            if len(self._data) > MAX_HEADER:
                raise ValueError("a line is too long")
            self._fill()
        line, self._data = self._data[:end], self._data[end + 2 :]
        return line

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while size := int(self._line().split(b";")[0], 16):
            total += size
            if total > MAX_BODY:
                raise ValueError("the body is too long")
            parts.append(self._exactly(size))
            if self._line():
                raise ValueError("a chunk is longer than it says")
        while self._line():
            pass
        return b"".join(parts)

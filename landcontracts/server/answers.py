"""Answers: the application's by WSGI (PEP 3333), and refusals of the server's own."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from landcontracts.server import figures
from landcontracts.server.refusals import FAILED, Refusal, rendered
from landcontracts.server.request import Request
from landcontracts.server.sender import ClientGone

if TYPE_CHECKING:
    from landcontracts.server.channel import Channel

log = logging.getLogger(__name__)
WITHOUT_BODY = ("1", "204", "304")
_date = (0, "")


def environ_of(channel: Channel, request: Request) -> dict[str, Any]:
    """The WSGI environment. The application is told whether the operator's address was used."""
    environ = channel.environ.copy()
    environ["REQUEST_METHOD"] = request.command
    environ["PATH_INFO"] = request.path
    environ["QUERY_STRING"] = request.query
    environ["REQUEST_URI"] = request.target
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
    for name, value in request.headers.items():
        environ[name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"] = value
    if request.chunked:
        environ["CONTENT_LENGTH"] = str(request.length)
    request.body.seek(0)
    environ["wsgi.input"] = request.body
    environ["wsgi.errors"] = sys.stderr
    return environ


class Answer:
    """One answer, written by its thread."""

    def __init__(self, channel: Channel, request: Request) -> None:
        self._channel, self._request = channel, request
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._left: int | None = None  # of the stated length
        self._in_chunks = False
        self._has_body = True
        self.has_begun = False

    def of_application(self) -> None:
        """Ask the application and send what it says. A failure before the header is an internal error."""
        try:
            parts = self._channel.server.application(environ_of(self._channel, self._request), self._start)
            try:
                self._send_parts(parts)
            finally:
                if hasattr(parts, "close"):
                    parts.close()
        except ClientGone:
            self._request.keeps_alive = False
        except BaseException:  # SystemExit too: it ends a process, and not one request
            log.exception("request_failed: %s", self._request.path)
            self._request.keeps_alive = self._request.keeps_alive and not self.has_begun
            if not self.has_begun:
                self.of_server(FAILED)

    def of_server(self, refusal: Refusal) -> None:
        """Send a refusal. The connection is kept where the whole request was received."""
        request = self._request
        translate = partial(self._channel.server.policy.translated, request.headers)
        status, headers, body = rendered(refusal, request.route.form, request.path, translate)
        figures.refused_with(refusal.code).inc()
        if self._channel.lingers:
            request.keeps_alive = False
        self._left, self._in_chunks = None, False
        self._start(status, headers)
        self._send(body, is_whole=True)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and self.has_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if any("\n" in text or "\r" in text for pair in headers for text in pair) or "\n" in status or "\r" in status:
            raise ValueError("a header of more than one line")
        self._status, self._headers = status, headers
        return partial(self._send, is_whole=False)

    def _send_parts(self, parts: Iterable[bytes]) -> None:
        if isinstance(parts, list | tuple) or getattr(parts, "streaming", None) is False:  # Django's whole answers
            self._send(b"".join(parts), is_whole=True)
        else:
            for part in parts:
                if part:
                    self._send(part, is_whole=False)
            if not self.has_begun:
                self._send(b"", is_whole=True)
            elif self._in_chunks:
                self._channel.send(b"0\r\n\r\n")
        if self._left and self._has_body:
            self._request.keeps_alive = False
            log.warning("answer_too_short: %s", self._request.path)

    def _send(self, data: bytes, *, is_whole: bool) -> None:
        head = b""
        if not self.has_begun:
            head = self._head(len(data) if is_whole else None)
        if not self._has_body:
            data = b""
        elif self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        elif self._in_chunks and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self._channel.send(head + data if data else head)

    def _head(self, length: int | None) -> bytes:
        if not self._status:
            raise ValueError("the application has not begun its answer")
        request, lines, has_date = self._request, [f"HTTP/1.1 {self._status}"], False
        self._has_body = request.command != "HEAD" and not self._status.startswith(WITHOUT_BODY)
        for name, value in self._headers:
            lower = name.lower()
            if lower == "content-length":
                self._left = int(value)
            elif lower == "date":
                has_date = True
            elif lower == "connection":
                request.keeps_alive = request.keeps_alive and value.lower() != "close"
                continue
            lines.append(f"{name}: {value}")
        if self._left is None and not self._status.startswith(WITHOUT_BODY):
            if length is not None:
                self._left = length
                lines.append(f"Content-Length: {length}")
            elif request.version >= "1.1":
                self._in_chunks = self._has_body
                lines.append("Transfer-Encoding: chunked")
            else:
                request.keeps_alive = False
        if not has_date:
            lines.append(f"Date: {_now()}")
        if self._channel.server.is_stopping:
            request.keeps_alive = False
        if not request.keeps_alive:
            lines.append("Connection: close")
        elif request.version == "1.0":
            lines.append("Connection: Keep-Alive")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.has_begun = True
        return head


def _now() -> str:
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]

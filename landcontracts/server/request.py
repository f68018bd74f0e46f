"""One request while it is received: waitress's parser, with a route, limits of its own and what is known of its sender."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError

from landcontracts.server import refusals
from landcontracts.server.lanes import Place
from landcontracts.server.options import (
    BODY_SECONDS,
    CROWDED_BYTES_PER_SECOND,
    GRACE_SECONDS,
    HEADER_SECONDS,
    HEAVY_BODY_SECONDS,
    KIB,
    MAX_BACKSLASHES,
    MAX_FIELD,
    MAX_FIELDS,
    MIN_BYTES_PER_SECOND,
    PAUSE_SECONDS,
)
from landcontracts.server.refusals import Refusal
from landcontracts.server.routes import Form, Kind, Policy, Route

log = logging.getLogger(__name__)
# The parser's expressions take time in the square of a line's length for other first lines, and for spaces that begin
# a field's value.
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_SPACE_BEFORE_VALUE = re.compile(rb"(\r\n[^:\r\n]*:)[ \t]+")
FRAMING_BYTES = 8 * KIB
PIECE_BYTES = 4 * KIB


class Request(HTTPRequestParser):
    """A request; `error` is set where the server refuses it."""

    error: Any
    path: str

    def __init__(self, adjustments: Any, policy: Policy) -> None:
        super().__init__(adjustments)
        self.restart()
        self.route = Route(form=Form.PROBLEM)
        self.person: str | None = None  # None while nothing has asked
        self.place: Place | None = None  # among expensive requests
        self.is_asking = False
        self.is_admitted = False
        self._policy = policy

    def restart(self) -> None:
        """Begin to count its times."""
        self.began = time.monotonic()
        self._due = self.began + GRACE_SECONDS

    def received(self, data: bytes) -> int:
        """Take bytes of the connection; returns how many. A full disk refuses the request."""
        try:
            consumed: int = super().received(data[:PIECE_BYTES] if self.is_fragmented else data)
        except OSError:
            self.refuse(refusals.NO_SPACE)
            return len(data)
        except ValueError:  # an address or a length that Python does not read
            self.refuse(refusals.MALFORMED)
            return len(data)
        if self.error is not None and not isinstance(self.error, Refusal):
            self.error = refusals.BY_STATUS.get(self.error.code, refusals.MALFORMED)
        if self.error is None and self._length() > self.route.limit:
            self.refuse(refusals.TOO_LARGE)
        if self.error is None and self.chunked and self._framing() > self._length() // 8 + FRAMING_BYTES:
            self.refuse(refusals.MALFORMED)  # chunks of a few bytes, or extensions and trailers: each costs time
        self._due = min(self._due + consumed / MIN_BYTES_PER_SECOND, time.monotonic() + PAUSE_SECONDS)
        return consumed

    @property
    def is_fragmented(self) -> bool:
        """Whether its body comes in chunks so small that others have to have their turn between pieces of it."""
        return bool(self.chunked) and self._framing() * 64 >= self.body_bytes_received

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the header and find the route. Raises: ParsingError."""
        first_line = header_plus.partition(b"\r\n")[0].rstrip().split(b" ")
        if len(first_line) != 3 or not first_line[1] or not _VERSION.fullmatch(first_line[2]):
            raise ParsingError("the first line has another form")  # RFC 9112, section 3
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise ParsingError("a folded field")  # RFC 9112, section 5.2
        if header_plus.count(b"\r\n") - 2 > MAX_FIELDS:  # without the first line and the empty one
            header_plus = b"GET / HTTP/1.0\r\n"
            self.refuse(refusals.HEADERS_TOO_LARGE)
        if b"  " in header_plus or b"\t" in header_plus:
            header_plus = _SPACE_BEFORE_VALUE.sub(rb"\1", header_plus)
        framings = header_plus.lower().count(b"\ntransfer-encoding")
        super().parse_header(header_plus)
        if (
            max(map(len, (self.request_uri, *self.headers.values()))) > MAX_FIELD
            or self.headers.get("COOKIE", "").count("\\") > MAX_BACKSLASHES
        ):
            self.refuse(refusals.HEADERS_TOO_LARGE)
        if framings and (self.version != "1.1" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("two framings of one body")  # RFC 9112, section 6.1: a sign of request smuggling
        self.path = f"/{self.path.lstrip('/')}"
        self.route = self._policy.route(self.command, self.path, self.headers)

    def _length(self) -> int:
        """Of the body as far as it is known, without the framing of chunks; in bytes."""
        return len(self.body_rcv) if self.chunked else int(self.content_length)

    def _framing(self) -> int:
        """Of a body in chunks, what is not its content; in bytes."""
        return int(self.body_bytes_received) - len(self.body_rcv)

    def refuse(self, refusal: Refusal) -> None:
        """Receive no more of it."""
        self.error = refusal
        self.completed = True

    @property
    def declared(self) -> int:
        """The length of the body as it is known before it has come, in bytes."""
        return self.route.limit if self.chunked else int(self.content_length)

    def is_late(self, now: float, *, is_crowded: bool) -> bool:
        """Whether the header or the body arrives too slowly. `now`: of the monotonic clock.

        A client that was faster than it has to be may pause, for a bounded time. `is_crowded`: places are scarce.
        """
        seconds = now - self.began
        if not self.headers_finished:
            return seconds > HEADER_SECONDS
        if self.is_asking:
            return False  # its client waits for us
        if now > self._due or seconds > (HEAVY_BODY_SECONDS if self.route.kind is Kind.HEAVY else BODY_SECONDS):
            return True
        wanted = max(seconds - GRACE_SECONDS, 0) * CROWDED_BYTES_PER_SECOND
        return is_crowded and self.place is not None and self.body_bytes_received < wanted

    def close(self) -> None:
        """Free what it holds: its body, and its place among expensive requests."""
        try:
            super().close()
        except OSError as error:  # a full disk: what the file still held is lost with it
            log.warning("body_not_closed: %s", error)
        finally:
            if self.place is not None:
                self.place.leave()

    @property
    def is_unasked(self) -> bool:
        """Whether it is expensive and its sender is not known yet."""
        return self.route.kind is Kind.HEAVY and self.person is None

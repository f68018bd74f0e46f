"""One request while it is received: waitress's parser, with a route, limits of its own and what is known of its sender."""

from __future__ import annotations

import logging
import time
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError

from landcontracts.server import refusals
from landcontracts.server.lanes import Place
from landcontracts.server.options import GRACE_SECONDS, HEADER_SECONDS, MAX_HEADER, MIN_BYTES_PER_SECOND
from landcontracts.server.refusals import Refusal
from landcontracts.server.routes import Form, Kind, Policy, Route

log = logging.getLogger(__name__)


class Request(HTTPRequestParser):
    """A request; `error` is set where the server refuses it."""

    error: Any
    path: str

    def __init__(self, adjustments: Any, policy: Policy) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()
        self.route = Route(form=Form.PROBLEM)
        self.person: str | None = None  # None while nothing has asked
        self.place: Place | None = None  # among expensive requests
        self.is_asking = False
        self.is_admitted = False
        self._policy = policy

    def received(self, data: bytes) -> int:
        """Take bytes of the connection; returns how many. A full disk refuses the request."""
        try:
            consumed: int = super().received(data)
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
        if self.error is None and self.chunked and self.body_bytes_received > 2 * self._length() + MAX_HEADER:
            self.refuse(refusals.MALFORMED)  # more framing, extensions and trailers than body
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the header and find the route. Raises: ParsingError."""
        framings = header_plus.lower().count(b"\ntransfer-encoding")
        super().parse_header(header_plus)
        if framings and (self.version != "1.1" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("two framings of one body")  # RFC 9112, section 6.1: a sign of request smuggling
        self.path = f"/{self.path.lstrip('/')}"
        self.route = self._policy.route(self.command, self.path, self.headers)

    def _length(self) -> int:
        """Of the body as far as it is known, without the framing of chunks; in bytes."""
        return len(self.body_rcv) if self.chunked else int(self.content_length)

    def refuse(self, refusal: Refusal) -> None:
        """Receive no more of it."""
        self.error = refusal
        self.completed = True

    @property
    def declared(self) -> int:
        """The length of the body as it is known before it has come, in bytes."""
        return self.route.limit if self.chunked else int(self.content_length)

    def is_late(self, now: float) -> bool:
        """Whether the header or the body arrives too slowly; `now` is of the monotonic clock."""
        seconds = now - self.began
        if not self.headers_finished:
            return seconds > HEADER_SECONDS
        if self.is_asking:
            return False  # its client waits for us
        return seconds > GRACE_SECONDS and self.body_bytes_received < (seconds - GRACE_SECONDS) * MIN_BYTES_PER_SECOND

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

"""One connection: requests are received one at a time, within their times, and answered in their order."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from typing import Any

from waitress.channel import HTTPChannel

from landcontracts.server import refusals
from landcontracts.server.admission import Question
from landcontracts.server.answers import ApplicationAnswer, Refused
from landcontracts.server.lanes import Place, Stage
from landcontracts.server.options import (
    GRACE_SECONDS,
    HEADER_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    MIN_BYTES_PER_SECOND,
    UNASKED_BYTES,
)
from landcontracts.server.refusals import Refusal
from landcontracts.server.request import Request
from landcontracts.server.routes import Kind


class Channel(HTTPChannel):
    """A connection of the loop. A lane's thread runs `service`; all else runs in the loop's thread."""

    request: Request | None
    requests: list[Request]
    will_close: bool
    close_when_flushed: bool
    task_class = ApplicationAnswer
    error_task_class = Refused

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.requests_lock = threading.RLock()  # a refusal is answered while it is held
        self._places: deque[Place] = deque()  # of the request that is being answered, or whose answer is being sent
        self.lingers = False  # the client may still be sending what was refused
        self._rest = b""  # received after the request under way
        self._drained_until = 0.0
        self._sending_since = 0.0
        self._sent_before = 0
        self._sent = 0

    def parser_class(self, adjustments: Any) -> Request:
        """A new request."""
        return Request(adjustments, self.server.policy)

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether bytes are wanted: not while a request waits for its answer, or for what is known of its sender."""
        if self._drained_until:
            return True
        is_asking = self.request is not None and self.request.is_asking
        return bool(super().readable()) and not is_asking and not self._rest

    def writable(self) -> bool:
        """Whether the loop has something to send or to close. What a thread answers it sends itself.

        The loop would try again and again while that thread waits for its turn of the interpreter.
        """
        return not self.requests and bool(super().writable())

    def received(self, data: bytes) -> bool:
        """Take bytes of the connection."""
        if self._drained_until:
            return False
        self._rest += data
        self.parse()
        return True

    def parse(self) -> None:
        """Read requests from what was received, until one of them has to be answered first, and the answer sent."""
        with self.requests_lock:
            while self._rest and not (
                self.requests or self.total_outbufs_len or self.will_close or self.close_when_flushed
            ):
                if self.request is None:
                    self._rest = self._rest.lstrip(b"\r\n")  # RFC 9112, section 2.2
                    if not self._rest:
                        return
                    self.request = self.parser_class(self.adj)
                if self.request.is_asking:
                    return
                consumed = self.request.received(self._rest)
                self._rest = self._rest[consumed:]
                if not self.request.completed and self.request.headers_finished and not self.request.is_admitted:
                    self._admit(self.request)
                if self.request is not None and self.request.completed:
                    self._complete(self.request)
                elif self._rest and self.request is not None and self.request.is_fragmented:
                    self.server.pull_trigger(self.parse)
                    return

    def _admit(self, request: Request) -> None:
        """Decide by the header alone whether the body is received; the sender of a long one is asked for first."""
        request.is_admitted = True
        if request.route.kind is Kind.USUAL and not self.server.policy.is_sealed(
            request.command, request.path, request.headers
        ):
            request.refuse(refusals.NOT_AUTHENTIC)
        elif request.is_unasked and request.declared > UNASKED_BYTES:
            request.is_asking = True
            self.server.lanes.put(Kind.USUAL, Question(self, request))
        elif request.expect_continue:
            self.send_continue()

    def answered(self, request: Request, refusal: Refusal | None) -> None:
        """Go on with a request when its sender is known, or refuse it."""
        request.is_asking = False
        if not self.connected or self.request is not request:
            request.close()
            return
        request.restart()
        with self.requests_lock:
            if refusal is not None:
                request.refuse(refusal)
                self._complete(request)
            elif request.expect_continue:
                self.send_continue()
        self.parse()

    def _complete(self, request: Request) -> None:
        self.request, self.sent_continue = None, False
        if request.empty:
            return
        if request.error is not None:
            self.lingers, self._rest = True, b""
        if request.place is not None:
            request.place.enter(Stage.WORK)
        self.requests.append(request)
        self.server.add_task(self)

    # --- Answering ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request, in a lane's thread, and go on with what came after it.

        A place among expensive requests is held until the answer is sent: a client that reads slowly holds it on disk.
        """
        request = self.requests[0]
        place, request.place = request.place, None
        if place is not None:
            self._places.append(place)
        try:
            self.service()
        finally:
            if place is not None:
                place.enter(Stage.SENT)
                if not self.total_outbufs_len or not self.connected:
                    place.leave()
            if not self.total_outbufs_len:
                self._sending_since = 0.0
        if self._rest:
            self.server.pull_trigger(self.parse)

    def _leave(self) -> None:
        """Give back the places of answers that have been sent, or will not be."""
        while self._places:
            self._places.popleft().leave()

    def shed(self) -> None:
        """Refuse the request, because it would wait too long."""
        self.refuse(refusals.BUSY)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request by a refusal, in the calling thread."""
        self.requests[0].error = refusal
        self.run()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send, and count what was sent."""
        sent: int = super().send(data, do_close=do_close)
        self._sent += sent
        return sent

    # --- Times -------------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End what takes too long; called by the loop once a second. `now` is of the monotonic clock."""
        if not self.requests and not self.total_outbufs_len:
            self._leave()
        if self._drained_until:
            if now > self._drained_until:
                self.handle_close()
        elif self.requests:
            pass  # a thread answers, or will
        elif self.total_outbufs_len:
            if self._is_read_too_slowly(now):
                self.abort()
        elif self.request is not None:
            if self.request.is_late(now, is_crowded=self.server.bulkhead.is_crowded):
                request, self.request = self.request, None
                with self.requests_lock:
                    request.refuse(refusals.TOO_SLOW)
                    self._complete(request)
        elif time.time() - self.last_activity > (HEADER_SECONDS if self._sent == 0 else IDLE_SECONDS):
            self.handle_close()

    def abort(self) -> None:
        """Close at once, without what is still to be sent: the kernel would keep it for a client that does not read."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handle_close()

    def _is_read_too_slowly(self, now: float) -> bool:
        """Whether the client reads the answer more slowly than it may."""
        if not self._sending_since:
            self._sending_since, self._sent_before = now, self._sent
        seconds = now - self._sending_since
        return seconds > GRACE_SECONDS and self._sent - self._sent_before < (
            (seconds - GRACE_SECONDS) * MIN_BYTES_PER_SECOND
        )

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client: such a connection may be given up when there are too many."""
        return not self.requests and not self.total_outbufs_len

    # --- The end -----------------------------------------------------------------------------------------------------

    def handle_write(self) -> None:
        """Send; after a refusal the connection is half closed, and what still comes is dropped for a while."""
        if not (self.close_when_flushed and self.lingers) or self.will_close:
            super().handle_write()
            if not self.requests and not self.total_outbufs_len:
                self._sending_since = 0.0
                self._leave()
            if self._rest and self.connected and not self.total_outbufs_len:
                self.parse()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self.close_when_flushed = False
            self._drained_until = time.monotonic() + LINGER_SECONDS
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def handle_close(self) -> None:
        """Close, and free what a request or an answer under way holds."""
        request, self.request, self._rest = self.request, None, b""
        if request is not None and not request.is_asking:
            request.close()
        super().handle_close()
        if not self.requests:
            self._leave()

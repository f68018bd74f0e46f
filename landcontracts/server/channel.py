"""One connection: requests are received one at a time, within their times, and answered in their order."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from landcontracts.server import refusals
from landcontracts.server.admission import Question
from landcontracts.server.answers import Answer, ClientGone
from landcontracts.server.lanes import Place, Stage
from landcontracts.server.options import (
    GRACE_SECONDS,
    HEADER_SECONDS,
    IDLE_SECONDS,
    KIB,
    LINGER_SECONDS,
    MIN_BYTES_PER_SECOND,
    UNASKED_BYTES,
)
from landcontracts.server.refusals import Refusal
from landcontracts.server.request import Request
from landcontracts.server.routes import Kind
from landcontracts.server.send_buffer import SendBuffer

if TYPE_CHECKING:
    from landcontracts.server.loop import Listening

log = logging.getLogger(__name__)
RECEIVED_AT_A_TIME = 64 * KIB
NOTHING, IN, OUT, FAILED = 0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Channel:
    """A connection of the loop. A lane's thread runs `run`; all else runs in the loop's thread.

    While a thread answers, what is to be sent is that thread's, and afterwards the loop's.
    """

    def __init__(self, server: Listening, sock: socket.socket, environ: dict[str, Any]) -> None:
        self.server, self.socket, self.environ = server, sock, environ
        self.request: Request | None = None  # that is being received
        self.answering: Request | None = None
        self.unsent = SendBuffer()
        self.interest = NOTHING
        self.is_open = True
        self.lingers = False  # the client may still be sending what was refused
        self.last_activity = time.monotonic()
        self._rest = b""  # received after the request under way
        self._places: deque[Place] = deque()  # of the request that is being answered, or whose answer is being sent
        self._is_last = False  # the connection ends when all is sent
        self._is_broken = False
        self._has_ended = False  # the client sends no more
        self._drained_until = 0.0
        self._sending_since = 0.0
        self._sent_before = self._sent = 0

    # --- The loop's side ---------------------------------------------------------------------------------------------

    def wanted(self) -> int:
        """What the loop waits for: bytes from the client, or room for what is to be sent."""
        if self._drained_until:
            return IN
        is_asking = self.request is not None and self.request.is_asking
        receives = not (self._rest or self._has_ended or self._is_last or is_asking)
        sends = self.answering is None and (len(self.unsent) or self._is_last)
        if sends:
            return OUT
        return IN if receives else NOTHING

    def handle(self, events: int) -> None:
        """Receive or send."""
        if events & IN:
            self._receive()
        elif events & FAILED:  # it was reset: there is none to answer
            self._is_broken = self._has_ended = True
            if self.answering is None:
                self.close()
            else:
                self.server.update(self)
        else:
            self.go_on()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(RECEIVED_AT_A_TIME)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, self._is_broken = b"", True
        self.last_activity = time.monotonic()
        if not data:
            self._has_ended = True
            if self.answering is None and (self._is_broken or not len(self.unsent)):
                self.close()
            self.server.update(self)
        elif not self._drained_until:
            self._rest += data
            self.parse()

    def parse(self) -> None:
        """Read requests from what was received, until one of them has to be answered first, and the answer sent."""
        while self.is_open and self._rest and not (self.answering or len(self.unsent) or self._is_last):
            if self.request is None:
                self._rest = self._rest.lstrip(b"\r\n")  # RFC 9112, section 2.2
                if not self._rest:
                    break
                self.request = Request(self.server.policy)
            request = self.request
            if request.is_asking:
                break
            consumed = request.received(self._rest)
            self._rest = self._rest[consumed:]
            if not request.completed and request.headers_finished and not request.is_admitted:
                self._admit(request)
            if request.completed:
                self._complete(request)
            elif self._rest and request.is_fragmented:
                self.server.later(self.parse)
                break
        if self._has_ended and self.is_waiting:
            self.close()
        self.server.update(self)

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
        else:
            self._say_go_on(request)

    def _say_go_on(self, request: Request) -> None:
        """Tell a client that waits for it to send the body (RFC 9110, section 10.1.1)."""
        if request.expects_continue:
            try:
                self.send(CONTINUE)
            except ClientGone:
                self.close()

    def answered(self, request: Request, refusal: Refusal | None) -> None:
        """Go on with a request when its sender is known, or refuse it."""
        request.is_asking = False
        if not self.is_open or self.request is not request:
            request.close()
            return
        request.restart()
        if refusal is not None:
            request.refuse(refusal)
            self._complete(request)
        else:
            self._say_go_on(request)
        self.parse()

    def _complete(self, request: Request) -> None:
        self.request = None
        if request.error is not None:
            self.lingers, self._rest = True, b""
        if request.place is not None:
            request.place.enter(Stage.WORK)
        self.answering = request
        self.server.begin(self, request)

    def go_on(self) -> None:
        """After an answer: send what is left of it, and then go on with what came after it, or end."""
        if self.answering is not None:
            return
        if not self.is_open:
            self.unsent.clear()
            self._leave()
            return
        self._flush()
        if self._is_broken:
            self.close()
        elif not len(self.unsent):
            self._sending_since = 0.0
            self._leave()
            if self._is_last and self.lingers and not self._has_ended:
                self._half_close()
            elif self._is_last or (self._has_ended and not self._rest):
                self.close()
            else:
                self.parse()
        if self.is_open:
            self.server.update(self)

    def _flush(self) -> None:
        try:
            while head := self.unsent.head():
                sent = self.socket.send(head)
                self._sent += sent
                self.last_activity = time.monotonic()
                self.unsent.skip(sent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._is_broken = True

    def _half_close(self) -> None:
        """After a refusal, what still comes is dropped for a while, so that the client reads the refusal."""
        self._drained_until = time.monotonic() + LINGER_SECONDS
        self._is_last = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    # --- The thread's side -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request, in a lane's thread or the loop's, and let the loop go on where something is left to do.

        A place among expensive requests is held until the answer is sent: a client that reads slowly holds it on disk.
        """
        request = self.answering
        assert request is not None
        place, request.place = request.place, None
        if place is not None:
            self._places.append(place)
        answer = Answer(self, request)
        try:
            if request.error is None:
                answer.of_application()
            else:
                answer.of_server(request.error)
        except ClientGone:
            request.keeps_alive = False
        finally:
            request.close()
            if place is not None:
                place.enter(Stage.SENT)
                if not len(self.unsent) or not self.is_open:
                    place.leave()
            self._is_last = self._is_last or not request.keeps_alive
            if not len(self.unsent):
                self._sending_since = 0.0
            self.last_activity = time.monotonic()
            self.answering = None
        if len(self.unsent) or self._rest or self._is_last or self._has_ended or self._is_broken or not self.is_open:
            self.server.later(self.go_on)

    def send(self, data: bytes) -> None:
        """Send, and keep what the client does not take at once. Raises: ClientGone, OSError of a full disk."""
        if not self.is_open or self._is_broken:
            raise ClientGone
        sent = 0
        if not len(self.unsent):
            try:
                sent = self.socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self._is_broken = True
                raise ClientGone from None
            self._sent += sent
        if sent < len(data):
            self.unsent.put(memoryview(data)[sent:])

    def shed(self) -> None:
        """Refuse the request, because it would wait too long."""
        self.refuse(refusals.BUSY)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request by a refusal, in the calling thread."""
        assert self.answering is not None
        self.answering.error = refusal
        self.run()

    def _leave(self) -> None:
        """Give back the places of answers that have been sent, or will not be."""
        while self._places:
            self._places.popleft().leave()

    # --- Times and the end -------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End what takes too long; called by the loop once a second. `now` is of the monotonic clock."""
        if self._drained_until:
            if now > self._drained_until:
                self.close()
        elif self.answering is not None:
            return  # a thread answers, or will
        elif len(self.unsent):
            if self._is_read_too_slowly(now):
                self.abort()
        elif self.request is not None:
            if self.request.is_late(now, is_crowded=self.server.bulkhead.is_crowded):
                self.request.refuse(refusals.TOO_SLOW)
                self._complete(self.request)
                self.server.update(self)
        elif now - self.last_activity > (HEADER_SECONDS if self._sent == 0 else IDLE_SECONDS):
            self.close()

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
        return self.answering is None and not len(self.unsent)

    @property
    def is_draining(self) -> bool:
        """Whether it only drops what still comes after a refusal."""
        return bool(self._drained_until)

    def abort(self) -> None:
        """Close at once, without what is still to be sent: the kernel would keep it for a client that does not read."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close, and free what a request or an answer under way holds; a thread that answers finds it closed."""
        if not self.is_open:
            return
        self.is_open = False
        self.server.forget(self)
        request, self.request, self._rest = self.request, None, b""
        if request is not None and not request.is_asking:
            request.close()
        with contextlib.suppress(OSError):
            self.socket.close()
        if self.answering is None:
            self.unsent.clear()
            self._leave()

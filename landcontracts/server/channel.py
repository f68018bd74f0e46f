"""One connection: requests are received one at a time, within their times, and answered in their order."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from landcontracts.server import refusals
from landcontracts.server.admission import Question
from landcontracts.server.answers import Answer
from landcontracts.server.lanes import Place, Stage
from landcontracts.server.options import (
    HEADER_SECONDS,
    IDLE_SECONDS,
    KIB,
    LINGER_SECONDS,
    UNASKED_BYTES,
)
from landcontracts.server.refusals import Refusal
from landcontracts.server.request import Request
from landcontracts.server.routes import Form, Kind
from landcontracts.server.sender import ClientGone, Sender

if TYPE_CHECKING:
    from landcontracts.server.loop import Listening

log = logging.getLogger(__name__)
RECEIVED_AT_A_TIME = 64 * KIB
NOTHING, IN, OUT = 0, select.EPOLLIN, select.EPOLLOUT
FAILED, FIRED = select.EPOLLERR | select.EPOLLHUP, -1
# A thread waits so long for its client's next request, and no longer: another one may come for which no thread rests.
NEXT_MILLISECONDS = 5
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Channel:
    """A connection of the loop. A lane's thread runs `run`; all else runs in the loop's thread.

    While `answering` is set, the connection is the thread's that answers; the loop then only notes that it failed.
    """

    def __init__(self, server: Listening, sock: socket.socket, environ: dict[str, Any]) -> None:
        self.server, self.socket, self.environ = server, sock, environ
        self.request: Request | None = None  # that is being received
        self.answering: Request | None = None
        self.sender = Sender(sock)
        self.interest = NOTHING
        self.is_open = True
        self.lingers = False  # the client may still be sending what was refused
        self.last_activity = time.monotonic()
        self._early = NOTHING
        self._rest = b""  # received after the request under way
        self._places: deque[Place] = deque()  # of the request that is being answered, or whose answer is being sent
        self._is_last = False  # the connection ends when all is sent
        self._has_ended = False  # the client sends no more
        self._drained_until = 0.0
        self._retry_at = 0.0  # when the client may come back after a refusal

    # --- The loop's side ---------------------------------------------------------------------------------------------

    def wanted(self) -> int:
        """What the loop waits for: bytes from the client, or room for what is to be sent."""
        if self.answering is not None:
            return NOTHING
        if self._drained_until:
            return IN
        is_asking = self.request is not None and self.request.is_asking
        receives = not (self._rest or self._has_ended or self._is_last or is_asking)
        if not self.sender.is_empty or self._is_last:
            return OUT
        return IN if receives else NOTHING

    def handle(self, events: int) -> None:
        """Receive or send."""
        if self.answering is not None:
            if self.interest == NOTHING:
                self.sender.is_broken = self._has_ended = True
            else:  # its thread is giving it back at this moment
                self._early = events
                if self.answering is None:
                    self._take_early()
            return
        self.interest = FIRED
        if events & IN:
            self._receive()
        elif events & FAILED:  # it was reset: there is none to answer
            self.close()
        else:
            self.go_on()
        self._update()

    def comes_too_early(self, request: Request) -> bool:
        """Whether the client was refused and comes back before it may, and there would still be no room for it.

        A service that calls is told so each time, at once.
        """
        return bool(
            self._retry_at
            and request.route.form is not Form.FAULT
            and self.server.lanes.is_full
            and not self.server.is_stopping
            and time.monotonic() < self._retry_at
        )

    def _take_early(self) -> None:
        """Handle an event that came before the connection's thread had let it go."""
        events, self._early = self._early, NOTHING
        if events:
            self.handle(events)

    def _update(self) -> None:
        """Wait for the next event, unless a thread has the connection."""
        if self.answering is None:
            self.server.update(self)

    def _receive(self) -> None:
        try:
            data = self.socket.recv(RECEIVED_AT_A_TIME)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, self.sender.is_broken = b"", True
        self.last_activity = time.monotonic()
        if not data:
            self._has_ended = True
            if self.sender.is_broken or self.sender.is_empty:
                self.close()
        elif not self._drained_until:
            self._rest += data
            self.parse()

    def parse(self) -> None:
        """Read requests from what was received, until one of them has to be answered first, and the answer sent."""
        while self.is_open and self.sender.is_empty and not (self.answering or self._is_last):
            request = self.request = self.request or self._begun()
            if request is None or request.is_asking:
                break
            if request.headers_finished and not request.is_admitted:
                self._admit(request)
            elif self._rest:
                self._rest = self._rest[request.received(self._rest) :]
            else:
                break
            if request.completed:
                self._complete(request)
            elif self._rest and request.is_fragmented:
                self.server.later(self.parse)
                break
        if self._has_ended and self.is_waiting:
            self.close()
        self._update()

    def _begun(self) -> Request | None:
        """A new request, where something of it was received."""
        self._rest = self._rest.lstrip(b"\r\n")  # RFC 9112, section 2.2
        return Request(self.server.policy) if self._rest else None

    def _admit(self, request: Request) -> None:
        """Decide by the header alone whether the body is received; the sender of a long one is asked for first."""
        request.admit()
        if request.error is not None:
            return
        if request.is_unasked and request.declared > UNASKED_BYTES:
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
        self.server.update(self)  # before another thread has it
        self.server.begin(self, request)

    def go_on(self) -> None:
        """After an answer: send what is left of it, and then go on with what came after it, or end."""
        if self.answering is not None:
            return
        if not self.is_open:
            self.sender.drop()
            self._leave()
            return
        self.sender.flush()
        self.last_activity = time.monotonic()
        if self.sender.is_broken:
            self.close()
        elif self.sender.is_empty:
            self._leave()
            if self._is_last and self.lingers and not self._has_ended:
                self._half_close()
            elif self._is_last or (self._has_ended and not self._rest):
                self.close()
            else:
                self.parse()
        self._update()

    def _half_close(self) -> None:
        """After a refusal, what still comes is dropped for a while, so that the client reads the refusal."""
        self._drained_until = time.monotonic() + LINGER_SECONDS
        self._is_last = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    # --- The thread's side -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request in a lane's thread, and the client's next ones while they come at once and threads rest.

        To wait for them here saves the switch from the loop's thread to this one.
        """
        assert self.answering is not None
        kind = self.server.lane_of(self.answering)
        other = None
        try:
            self._answer()
            while other is None and self.server.lanes.may_wait(kind) and (request := self._next()) is not None:
                if request.error is None and self.server.lane_of(request) is kind:
                    self.answering = request
                    self._answer()
                else:
                    other = request
        finally:
            if other is None:
                self._give_back()
        if other is not None:
            self._complete(other)

    def answer(self) -> None:
        """Answer the request and no other, in the calling thread."""
        try:
            self._answer()
        finally:
            self._give_back()

    def _next(self) -> Request | None:
        """The client's next request, where it comes whole and at once. A part of it is left for the loop."""
        if self._is_left_to_the_loop:
            return None
        waiting = select.poll()
        waiting.register(self.socket, select.POLLIN)
        if not waiting.poll(NEXT_MILLISECONDS):
            return None
        try:
            self._rest = self.socket.recv(RECEIVED_AT_A_TIME)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            self.sender.is_broken = True
        self.last_activity = time.monotonic()
        self._has_ended = not self._rest
        request = self._begun()
        if request is None:
            return None
        self._rest = self._rest[request.received(self._rest) :]
        if 0 < request.content_length <= len(self._rest) and not request.completed:
            request.admit()
            if not request.completed:
                self._rest = self._rest[request.received(self._rest) :]
        if request.completed:
            return request
        self.request = request
        return None

    @property
    def _is_left_to_the_loop(self) -> bool:
        """Whether the connection goes on otherwise than by its next request."""
        return bool(
            not self.sender.is_empty
            or self._rest
            or self.request
            or self._is_last
            or self._has_ended
            or self.sender.is_broken
            or not self.is_open
        )

    def _give_back(self) -> None:
        """Let the loop have the connection."""
        if self._is_left_to_the_loop:
            self.answering = None
            self.server.later(self.go_on)
        else:
            self.interest = IN
            self.server.rearm(self)
            self.answering = None
            if self._early:
                self.server.later(self._take_early)

    def _answer(self) -> None:
        """Answer the request.

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
                if self.sender.is_empty or not self.is_open:
                    self._leave()
            self._is_last = self._is_last or not request.keeps_alive
            if self.sender.is_empty:
                self.sender.restart()
            self.last_activity = time.monotonic()

    def send(self, data: bytes) -> None:
        """Send, and keep what the client does not take at once. Raises: ClientGone, OSError of a full disk."""
        if not self.is_open:
            raise ClientGone
        self.sender.send(data)

    def shed(self) -> None:
        """Refuse the request, because it would wait too long."""
        if not self._rest:  # else the client had sent the next one before
            self._retry_at = time.monotonic() + refusals.BUSY.retry_after_seconds
        self.refuse(refusals.BUSY)

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request by a refusal, in the calling thread."""
        assert self.answering is not None
        self.answering.error = refusal
        self.answer()

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
        elif not self.sender.is_empty:
            if self.sender.is_read_too_slowly(now):
                self.sender.reset_on_close()
                self.close()
        elif self.request is not None:
            if self.request.is_late(now, is_crowded=self.server.bulkhead.is_crowded):
                self.request.refuse(refusals.TOO_SLOW)
                self._complete(self.request)
        elif now - self.last_activity > (HEADER_SECONDS if self.sender.sent == 0 else IDLE_SECONDS):
            self.close()

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client: such a connection may be given up when there are too many."""
        return self.answering is None and self.sender.is_empty

    @property
    def is_draining(self) -> bool:
        """Whether it only drops what still comes after a refusal."""
        return bool(self._drained_until)

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
            self.sender.drop()
            self._leave()

"""The loop of one process: accepts, receives and sends for every connection, and hands whole requests to the lanes."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer

from landcontracts.server import figures
from landcontracts.server.admission import Sorting
from landcontracts.server.channel import Channel
from landcontracts.server.lanes import Bulkhead, Lanes
from landcontracts.server.options import (
    HEAVY_IN_ALL,
    HEAVY_PER_PERSON,
    IN_MEMORY,
    MAX_CONNECTIONS,
    MAX_HEADER,
    STOP_SECONDS,
    Options,
)
from landcontracts.server.routes import Kind, NoPolicy, Policy

log = logging.getLogger(__name__)
ACCEPTED_AT_A_TIME = 64
# How long a thread may compute before another gets its turn. The loop gives its own turn up at each read and each write;
# with Python's five milliseconds it would wait long for each beside busy threads.
SWITCH_SECONDS = 0.001
FILES_PER_CONNECTION = 4  # its socket, its body, its answer, and a share of the process's own
UNBOUNDED = 1 << 60


class _Listening(BaseWSGIServer):
    """A listening socket and its connections."""

    channel_class = Channel
    policy: Policy
    lanes: Lanes
    bulkhead: Bulkhead
    is_inner = False
    is_stopping = False
    max_connections = MAX_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._thunks: deque[Callable[[], Any]] = deque()
        super().__init__(*arguments, **named)
        # A full pipe wakes the loop as well as one byte more would; the loop itself must not wait for it.
        os.set_blocking(self.trigger.trigger, False)

    def pull_trigger(self, thunk: Callable[[], Any] | None = None) -> None:
        """Wake the loop, which runs the function at its next turn.

        Waitress's own trigger runs functions under the lock that adding one takes: a function that adds another hangs.
        """
        if thunk is not None:
            self._thunks.append(thunk)
        with contextlib.suppress(BlockingIOError):
            self.trigger.pull_trigger()

    def turn(self) -> None:
        """Run the functions that wait; one that such a function adds waits for the next turn."""
        for _ in range(len(self._thunks)):
            try:
                self._thunks.popleft()()
            except Exception:
                log.exception("request_lost")

    def add_task(self, channel: Channel) -> None:
        """Answer a whole request: a refused one here, others in their lanes."""
        request = channel.requests[0]
        if request.error is not None:
            channel.run()
        elif self.is_inner and request.route.kind is not Kind.HEALTH:
            self.lanes.put(Kind.OPERATOR, channel)
        elif request.is_unasked:
            self.lanes.put(Kind.USUAL, Sorting(channel))
        else:
            self.lanes.put(request.route.kind, channel)

    def readable(self) -> bool:
        """Whether connections are accepted."""
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept what has come. Past the limit, the connection that has waited longest for its client is given up."""
        for _ in range(ACCEPTED_AT_A_TIME):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return
            if before >= self.max_connections:
                self._give_up_one()

    def _give_up_one(self) -> None:
        waiting = [channel for channel in self.active_channels.values() if channel.is_waiting]
        if waiting:
            min(waiting, key=lambda channel: channel.last_activity).handle_close()

    def check(self, now: float) -> None:
        """End what takes too long."""
        for channel in list(self.active_channels.values()):
            channel.check(now)

    def stop(self) -> None:
        """Accept no more; connections end with their answer, idle ones at once."""
        self.is_stopping, self.accepting = True, False
        self.del_channel()
        self.socket.close()
        for channel in list(self.active_channels.values()):
            if channel.is_waiting:
                channel.handle_close()


class _Tcp(_Listening, TcpWSGIServer):
    pass


class _Unix(_Listening, UnixWSGIServer):
    pass


def serve(options: Options, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> None:
    """Load the application and answer until SIGTERM. `sockets`: the public one, and the operator's, if any."""
    stopped = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the supervisor as well, which sends SIGTERM
    max_connections = min(MAX_CONNECTIONS, _raised_limit_of_files() // FILES_PER_CONNECTION)
    sys.setswitchinterval(SWITCH_SECONDS)
    module, _, name = options.application.partition(":")
    loaded = import_module(module)
    policy: Policy = getattr(loaded, "policy", None) or NoPolicy()
    lanes = Lanes(options.threads, options.heavy_threads)
    figures.most_connections.set(max_connections)
    bulkhead = Bulkhead(HEAVY_PER_PERSON, HEAVY_IN_ALL)
    connections: dict[int, Any] = {}
    servers = []
    for number, sock in enumerate(sockets):
        server = _listen(getattr(loaded, name), connections, sock)
        server.policy, server.lanes, server.bulkhead, server.is_inner = policy, lanes, bulkhead, number > 0
        server.max_connections = max_connections
        servers.append(server)

    def stop(*_: object) -> None:
        stopped.set()
        servers[0].pull_trigger()

    signal.signal(signal.SIGTERM, stop)
    ready()
    _run(servers, connections, stopped)
    _finish(servers, connections, lanes)


def _listen(application: Any, connections: dict[int, Any], sock: socket.socket) -> _Listening:
    adjustments = Adjustments(
        sockets=[sock],
        ident="",
        send_bytes=1,  # an answer is sent by its thread
        recv_bytes=64 * 1024,
        outbuf_high_watermark=UNBOUNDED,  # no thread waits for a slow reader: past outbuf_overflow answers are on disk
        inbuf_overflow=IN_MEMORY,
        max_request_header_size=MAX_HEADER,
        max_request_body_size=UNBOUNDED,  # each route has its own
        expose_tracebacks=False,
        log_socket_errors=False,
        clear_untrusted_proxy_headers=False,
    )
    kind = _Unix if sock.family == socket.AF_UNIX else _Tcp
    information = (sock.family, sock.type, sock.proto, sock.getsockname())
    server: _Listening = kind(
        application, connections, True, sock, dispatcher=object(), adj=adjustments, sockinfo=information,
        bind_socket=False,
    )  # fmt: skip
    return server


def _run(servers: Sequence[_Listening], connections: dict[int, Any], stopped: threading.Event) -> None:
    checked = time.monotonic()
    while not stopped.is_set():
        wasyncore.poll2(1.0, connections)
        for server in servers:
            server.turn()
        now = time.monotonic()
        if now - checked >= 1.0:
            checked = now
            for server in servers:
                server.check(now)
            figures.connections.set(sum(len(server.active_channels) for server in servers))


def _finish(servers: Sequence[_Listening], connections: dict[int, Any], lanes: Lanes) -> None:
    """Answer what was received, for a bounded time."""
    deadline = time.monotonic() + STOP_SECONDS
    for server in servers:
        server.stop()
    while time.monotonic() < deadline:
        wasyncore.poll2(0.05, connections)
        for server in servers:
            server.turn()
            for channel in list(server.active_channels.values()):
                if channel.is_waiting and not channel.close_when_flushed:
                    channel.handle_close()
        if lanes.are_idle and not any(server.active_channels for server in servers):
            return


def _raised_limit_of_files() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_PER_CONNECTION * MAX_CONNECTIONS
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted

"""The loop of one process: accepts, receives and sends for every connection, and hands whole requests to the lanes."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from landcontracts.server import figures
from landcontracts.server.admission import Sorting
from landcontracts.server.channel import Channel
from landcontracts.server.concurrency import INTERVAL_SECONDS
from landcontracts.server.lanes import Bulkhead, Lanes
from landcontracts.server.options import (
    HEAVY_IN_ALL,
    HEAVY_PER_PERSON,
    MAX_CONNECTIONS,
    STOP_SECONDS,
    Options,
)
from landcontracts.server.request import Request
from landcontracts.server.routes import Kind, NoPolicy, Policy

log = logging.getLogger(__name__)
ACCEPTED_AT_A_TIME = 64
# How long a thread may compute before another gets its turn. The loop gives its own turn up at each read and each write;
# with Python's five milliseconds it would wait long for each beside busy threads.
SWITCH_SECONDS = 0.001
# While enough requests wait for threads, events are gathered for so long: each look for new ones takes the interpreter
# from those that are answered.
GATHER_SECONDS = 0.005
ONCE = select.EPOLLONESHOT
FILES_PER_CONNECTION = 4  # its socket, its body, its answer, and a share of the process's own


class Loop:
    """Waits for events of sockets, and for functions that other threads ask it to run."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._thunks: deque[Callable[[], Any]] = deque()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self.watch(self._woken, self._drain, select.EPOLLIN)

    def watch(self, descriptor: int, handler: Callable[[int], None], events: int) -> None:
        """Call a function at these events of a descriptor, until `forget`; with ONCE: at the first, until `rearm`."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def rearm(self, descriptor: int, events: int) -> None:
        """Wait once more, for one of these events or a failure; from the thread that has the descriptor."""
        self._epoll.modify(descriptor, events | ONCE)

    def forget(self, descriptor: int) -> None:
        """Wait for none."""
        if self._handlers.pop(descriptor, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    def later(self, thunk: Callable[[], Any]) -> None:
        """Run a function at the end of a turn; from any thread."""
        self._thunks.append(thunk)
        self.wake()

    def afterwards(self, thunk: Callable[[], Any]) -> None:
        """Run a function at the end of this turn; from the loop's own thread."""
        self._thunks.append(thunk)

    def wake(self) -> None:
        """End the wait under way. A full pipe does that as well."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"x")

    def _drain(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 65_536)

    def turn(self, seconds: float) -> None:
        """Wait so long for events at most, handle them, and run the functions; one that such a function adds waits."""
        for descriptor, events in self._epoll.poll(seconds):
            handler = self._handlers.get(descriptor)
            if handler is not None:
                _attempt(handler, events)
        for _ in range(len(self._thunks)):
            _attempt(self._thunks.popleft())


def _attempt(function: Callable[..., Any], *arguments: Any) -> None:
    try:
        function(*arguments)
    except Exception:
        log.exception("request_lost")


class Listening:
    """A listening socket and its connections."""

    def __init__(self, loop: Loop, sock: socket.socket, application: Any, policy: Policy, *, is_inner: bool) -> None:
        self._loop, self._socket = loop, sock
        self.application, self.policy, self.is_inner = application, policy, is_inner
        self.lanes: Lanes
        self.bulkhead: Bulkhead
        self.max_connections = MAX_CONNECTIONS
        self.is_stopping = False
        self.channels: dict[int, Channel] = {}
        self._put_off: deque[Channel] = deque()
        self._is_unix = sock.family == socket.AF_UNIX
        name, port = ("localhost", "") if self._is_unix else sock.getsockname()[:2]
        self._environ = {
            "SERVER_NAME": str(name),
            "SERVER_PORT": str(port),
            "SCRIPT_NAME": "",
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        if is_inner:
            self._environ["landcontracts.inner"] = True
        # After the turn's events: one of a connection that ends in this turn would reach a new one of its number.
        loop.watch(sock.fileno(), lambda _: loop.afterwards(self._accept), select.EPOLLIN)

    def lane_of(self, request: Request) -> Kind:
        """The lane of a request that is not refused."""
        kind = request.route.kind
        return Kind.OPERATOR if self.is_inner and kind is not Kind.HEALTH else kind

    def begin(self, channel: Channel, request: Request) -> None:
        """Answer a whole request: a refused one here, others in their lanes."""
        kind = self.lane_of(request)
        if request.error is not None:
            channel.answer()
        elif kind is Kind.HEAVY and request.is_unasked:
            self.lanes.put(Kind.USUAL, Sorting(channel))
        elif kind is Kind.USUAL and channel.comes_too_early(request):
            self._put_off.append(channel)
        else:
            self.lanes.put(kind, channel)

    def later(self, thunk: Callable[[], Any]) -> None:
        """Let the loop run a function."""
        self._loop.later(thunk)

    def update(self, channel: Channel) -> None:
        """Wait once for what the channel wants now; from the thread that has it."""
        if channel.is_open and (wanted := channel.wanted()) != channel.interest:
            channel.interest = wanted
            self.rearm(channel)

    def rearm(self, channel: Channel) -> None:
        """Wait once for the channel's interest; from the thread that has it."""
        self._loop.rearm(channel.socket.fileno(), channel.interest)

    def forget(self, channel: Channel) -> None:
        """It is closed."""
        descriptor = channel.socket.fileno()
        self._loop.forget(descriptor)
        self.channels.pop(descriptor, None)

    def resume(self) -> None:
        """Queue what was put off, where there is room by now or the client has waited for as long as it was told."""
        for _ in range(len(self._put_off)):
            channel = self._put_off.popleft()
            if channel.answering is not None:
                self.begin(channel, channel.answering)

    @property
    def has_put_off(self) -> bool:
        """Whether requests are put off: their clients were refused, and came back before they may."""
        return bool(self._put_off)

    def _accept(self) -> None:
        """Accept what has come. Past the limit, the connection that has waited longest for its client is given up."""
        for _turn in range(ACCEPTED_AT_A_TIME):
            try:
                sock, address = self._socket.accept()
            except OSError:  # another process has it, or there are too many files
                return
            sock.setblocking(False)
            environ = dict(self._environ)
            if self._is_unix:
                environ["REMOTE_ADDR"] = ""
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address[0], str(address[1])
            channel = Channel(self, sock, environ)
            self.channels[sock.fileno()] = channel
            channel.interest = channel.wanted()
            self._loop.watch(sock.fileno(), channel.handle, channel.interest | ONCE)
            if len(self.channels) > self.max_connections:
                self._give_up_one()

    def _give_up_one(self) -> None:
        waiting = [channel for channel in self.channels.values() if channel.is_waiting]
        if waiting:
            min(waiting, key=lambda channel: channel.last_activity).close()

    def check(self, now: float) -> None:
        """End what takes too long."""
        for channel in list(self.channels.values()):
            channel.check(now)

    def stop(self) -> None:
        """Accept no more; connections end with their answer, idle ones at once."""
        self.is_stopping = True
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self.resume()
        self.close_waiting()

    def close_waiting(self) -> None:
        """Close the connections that wait for their clients."""
        for channel in list(self.channels.values()):
            if channel.is_waiting and not channel.is_draining:
                channel.close()


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
    loop = Loop()
    servers = []
    for number, sock in enumerate(sockets):
        server = Listening(loop, sock, getattr(loaded, name), policy, is_inner=number > 0)
        server.lanes, server.bulkhead, server.max_connections = lanes, bulkhead, max_connections
        servers.append(server)

    def stop(*_: object) -> None:
        stopped.set()
        loop.wake()

    signal.signal(signal.SIGTERM, stop)
    ready()
    _run(loop, servers, lanes, stopped)
    _finish(loop, servers, lanes)


def _run(loop: Loop, servers: Sequence[Listening], lanes: Lanes, stopped: threading.Event) -> None:
    checked = resumed = time.monotonic()
    while not stopped.is_set():
        if lanes.have_enough:
            time.sleep(GATHER_SECONDS)
        has_put_off = any(server.has_put_off for server in servers)
        loop.turn(INTERVAL_SECONDS if has_put_off or lanes.are_narrow else 1.0)
        now = time.monotonic()
        lanes.adapt(now)
        if now - resumed >= INTERVAL_SECONDS:
            resumed = now
            for server in servers:
                server.resume()
        if now - checked >= 1.0:
            checked = now
            for server in servers:
                server.check(now)
            figures.connections.set(sum(len(server.channels) for server in servers))


def _finish(loop: Loop, servers: Sequence[Listening], lanes: Lanes) -> None:
    """Answer what was received, for a bounded time."""
    deadline = time.monotonic() + STOP_SECONDS
    for server in servers:
        server.stop()
    lanes.open()
    while time.monotonic() < deadline:
        loop.turn(0.05)
        for server in servers:
            server.close_waiting()
        if lanes.are_idle and not any(server.channels for server in servers):
            return


def _raised_limit_of_files() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_PER_CONNECTION * MAX_CONNECTIONS
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted

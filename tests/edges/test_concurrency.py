"""How many requests are answered at a time: few that compute, all that wait for others; who comes back too early waits."""

import select
import signal
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from landcontracts.server.concurrency import LEAST, Limit, Meter, Reading
from tests.edges.servers import Server, Waiting, answer, code, request_of, running, until

THREADS = 16


@pytest.mark.parametrize(
    ("value", "running_now", "queued", "busy", "expected"),
    [
        (16, 16, 9, 0.9, 12),  # they contend: a quarter fewer
        (16, 8, 0, 0.9, 6),  # of those that run
        (6, 6, 9, 0.8, 4),
        (2, 2, 9, 1.0, 2),  # and never fewer than two
        (3, 2, 9, 1.0, 2),
        (8, 8, 9, 0.79, 8),
        (8, 8, 9, 0.7, 8),
        (8, 8, 9, 0.69, 10),  # a part of the time is left: a little more
        (15, 15, 9, 0.69, 16),
        (2, 2, 2, 0.9, 16),  # so few that they do not contend
        (2, 2, 3, 0.9, 2),
    ],
)
def test_the_next_limit(value: int, running_now: int, queued: int, busy: float, expected: int):
    limit = Limit(THREADS)
    limit.value = value
    limit.decide(Reading(busy, is_blocked=False), running=running_now, queued=queued, now=100.0)
    assert limit.value == expected


def test_a_lane_of_one_thread_keeps_it():
    limit = Limit(1)
    limit.decide(Reading(1.0, is_blocked=False), running=1, queued=9, now=100.0)
    assert limit.value == 1


def test_while_one_waits_for_others_all_may_run():
    limit = Limit(THREADS)
    limit.value = 2
    limit.decide(Reading(0.9, is_blocked=True), running=2, queued=9, now=100.0)
    assert limit.value == THREADS
    limit.decide(Reading(0.9, is_blocked=False), running=THREADS, queued=9, now=101.9)
    assert limit.value == THREADS
    limit.decide(Reading(0.9, is_blocked=False), running=THREADS, queued=9, now=102.0)
    assert limit.value == 12


def test_the_share_of_the_time_that_threads_compute():
    meter, released = Meter(), threading.Event()
    waiting = threading.Thread(target=released.wait)
    waiting.start()
    computing = threading.current_thread()
    meter.add(computing)
    meter.add(waiting)
    began = time.monotonic()
    meter.read(began, {computing})
    assert not meter.is_due(began + 0.09)
    assert meter.is_due(began + 0.11)
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    busy, is_blocked = meter.read(began + 0.1, {computing, waiting})
    assert 0.4 < busy < 0.8
    assert not is_blocked  # the other one may just have begun
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    assert meter.read(began + 0.2, {computing, waiting}).is_blocked
    assert meter.read(began + 100.0, set()) == (pytest.approx(0, abs=0.01), False)  # those that rest are not blocked
    released.set()
    waiting.join()


class Computing:
    """Clients that ask for what computes, one request after the other."""

    def __init__(self, server: Server, clients: int) -> None:
        self.counts: deque[int] = deque(maxlen=40)  # how many computed at a time, of the last answers
        self._server = server
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        with self._server.connect() as connection:
            while not self._stopped.is_set():
                connection.sendall(request_of("GET", "/compute?10"))
                if not (content := answer(connection)[2]):
                    return
                self.counts.append(int(content))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(20)


def test_few_that_compute_and_all_that_wait_are_answered_at_a_time(tmp_path: Path):
    with running(tmp_path, "--threads", str(THREADS)) as server:
        held = Waiting(server, tmp_path)
        with Computing(server, 12) as computing:
            until(lambda: len(computing.counts) == 40 and max(computing.counts) <= LEAST)
            held.begin("/x", THREADS)
            until(lambda: held.began() == THREADS)
            held.go()
            assert [status for status, *_ in held.answers] == [200] * THREADS
            computing.counts.clear()
            until(lambda: len(computing.counts) == 40 and max(computing.counts) <= LEAST)


@pytest.fixture
def full(tmp_path: Path):
    """A server whose only thread is held, and as many requests wait as may."""
    with running(tmp_path, "--threads", "1", "--heavy-threads", "1", WEB_MAX_WAITING="1") as server:
        held = Waiting(server, tmp_path)
        held.begin("/x", 3)
        until(lambda: held.began() == 1 and len(held.answers) == 1)  # the third was refused
        yield server, held
        held.go()


def refused_and_back(server: Server):
    """A connection whose client was refused, and asks again at once."""
    connection = server.connect()
    connection.sendall(request_of("GET", "/x"))
    status, headers, body = answer(connection)
    assert (status, headers["retry-after"], code(body)) == (503, "2", "service_busy")
    connection.sendall(request_of("GET", "/again"))
    return connection


def test_a_refused_client_that_comes_back_too_early_is_refused_later(full):
    server, _ = full
    began = time.monotonic()
    with refused_and_back(server) as connection:
        assert server.get("/x")[0] == 503  # another one is refused at once
        assert not select.select([connection], [], [], 0)[0]
        assert server.get("/healthz")[0] == 200
        assert answer(connection)[0] == 503
        assert time.monotonic() - began > 1.9


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (request_of("GET", "/healthz"), 200),
        (request_of("GET", "/heavy", X_Person="anna"), 503),
        (request_of("POST", "/seam/x", b"{}", X_Seal="good"), 503),
        (b"GET\r\n\r\n", 400),
    ],
    ids=["health", "expensive", "a service", "malformed"],
)
def test_what_is_of_another_kind_is_answered_at_once(full, request_: bytes, expected: int):
    server, _ = full
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/x"))
        assert answer(connection)[0] == 503
        connection.sendall(request_)
        assert server.get("/x")[0] == 503
        assert select.select([connection], [], [], 5 if expected == 200 else 0)[0], "it came before"
        assert answer(connection)[0] == expected


def test_it_is_answered_as_soon_as_there_is_room(full):
    server, held = full
    with refused_and_back(server) as connection:
        held.go()
        status, _, body = answer(connection)
        assert (status, body.split()[1]) == (200, b"/again")


@pytest.mark.parametrize("size", [0, 300_000])
def test_it_is_answered_when_the_server_stops(full, size: int):
    server, _ = full
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/x"))
        assert answer(connection)[0] == 503
        connection.sendall(request_of("POST", "/again", b"x" * size))
        for _ in range(10):
            assert server.get("/healthz")[0] == 200  # by then it is received
        assert server.get("/x")[0] == 503  # what the connection has sent is put off by now
        server.process.send_signal(signal.SIGTERM)
        status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (503, "close")


def test_all_threads_answer_when_the_server_stops(tmp_path: Path):
    with running(tmp_path, "--threads", str(THREADS)) as server, ExitStack() as stack:
        held = Waiting(server, tmp_path)
        connections = [stack.enter_context(server.connect()) for _ in range(THREADS)]
        with Computing(server, 12) as computing:
            until(lambda: len(computing.counts) == 40 and max(computing.counts) <= LEAST)
            for connection in connections:
                connection.sendall(request_of("GET", "/x", X_Wait=str(tmp_path)))
            assert server.get("/healthz")[0] == 200  # they have been read before
            server.process.send_signal(signal.SIGTERM)
            until(lambda: held.began() == THREADS)
            held.go()
        assert [answer(connection)[0] for connection in connections] == [200] * THREADS


def test_a_thread_goes_on_after_an_exit(tmp_path: Path):
    with running(tmp_path, "--threads", "1", "--heavy-threads", "1") as server:
        before = server.get("/pid")[2]
        for _ in range(3):
            status, _, body = server.get("/exits")
            assert (status, code(body)) == (500, "internal_error")
        assert server.get("/pid")[2] == before

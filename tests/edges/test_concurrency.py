"""How many requests are answered at a time: few that compute, all that wait for others; who comes back too early waits."""

import select
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import Self

import pytest

from landcontracts.server.concurrency import LEAST, Meter, next_limit
from tests.edges.servers import Server, Waiting, answer, code, request_of, running, until

THREADS = 16


@pytest.mark.parametrize(
    ("limit", "running_now", "queued", "busy", "expected"),
    [
        (16, 16, 9, 0.9, 12),  # they contend: a quarter fewer
        (16, 8, 0, 0.9, 6),  # of those that run
        (6, 6, 9, 0.8, 4),
        (2, 2, 9, 1.0, 2),  # and never fewer than two
        (3, 2, 9, 1.0, 2),
        (8, 8, 9, 0.79, 8),
        (8, 8, 9, 0.7, 8),
        (8, 8, 9, 0.69, 10),  # a part of them waits for others: a little more
        (15, 15, 9, 0.69, 16),
        (2, 2, 9, 0.34, 16),  # nearly all wait for others: all at once
        (2, 2, 9, 0.35, 4),
        (2, 2, 2, 0.9, 16),  # so few that they do not contend
        (2, 2, 3, 0.9, 2),
    ],
)
def test_the_next_limit(limit: int, running_now: int, queued: int, busy: float, expected: int):
    assert next_limit(limit, THREADS, running=running_now, queued=queued, busy=busy) == expected


def test_a_lane_of_one_thread_keeps_it():
    assert next_limit(1, 1, running=1, queued=9, busy=1.0) == 1


def test_the_share_of_the_time_that_threads_compute():
    meter = Meter()
    meter.add(threading.current_thread())
    began = time.monotonic()
    assert not meter.is_due(began)
    assert meter.is_due(began + 0.1)
    meter.read(began)
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    assert 0.4 < meter.read(began + 0.1) < 0.7
    assert meter.read(began + 0.2) < 0.1  # it has not computed since


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
                self.counts.append(int(answer(connection)[2]))

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


def test_a_service_that_calls_is_refused_at_once_each_time(full):
    server, _ = full
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(request_of("POST", "/seam/x", b"{}", X_Seal="good"))
            assert server.get("/x")[0] == 503
            assert select.select([connection], [], [], 0)[0], "it came before, and is answered before"
            assert answer(connection)[0] == 503


def test_it_is_answered_as_soon_as_there_is_room(full):
    server, held = full
    with refused_and_back(server) as connection:
        held.go()
        status, _, body = answer(connection)
        assert (status, body.split()[1]) == (200, b"/again")


def test_it_is_answered_when_the_server_stops(full):
    server, _ = full
    with refused_and_back(server) as connection:
        assert server.get("/x")[0] == 503  # what the connection has sent is put off by now
        server.process.send_signal(signal.SIGTERM)
        status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (503, "close")

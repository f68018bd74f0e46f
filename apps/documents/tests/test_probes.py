"""The prepared process: started when a file comes, once more when it has ended, and awaited for a bounded time."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO

import pytest

from apps.core.interface.errors import ServiceBusy
from apps.documents.logic import file_probe, probes
from apps.documents.logic.content import KINDS
from apps.documents.tests.files import image

FINE = {"problem": "", "active": []}
SOON = 30.0


@pytest.fixture
def picture() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(image("PNG"))
        file.flush()
        yield file


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A process in the place of the prepared one, and the socket by which it is asked."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    probes._end()
    with ours, theirs:
        yield process, ours
        probes._end()
    process.kill()
    process.wait()


def asked(file: IO[bytes], seconds: float = SOON) -> dict[str, object]:
    file.seek(0)
    return probes._asked(KINDS["image/png"], file, time.monotonic() + seconds)


def test_no_file_takes_more_than_is_promised():
    promised = (5, 256 * 2**20, 250_000_000)  # the README of documents says so
    assert promised == (file_probe.CPU_SECONDS, file_probe.MEMORY_BYTES, file_probe.MAX_PIXELS)


def test_one_that_has_ended_is_replaced(sleeper):
    process, orders = sleeper
    process.kill()
    process.wait()
    probes._running = (os.getpid(), process, orders)
    assert probes._orders() is not orders
    assert probes._running[1].poll() is None
    assert orders.fileno() == -1


def test_one_that_runs_is_asked_again(sleeper):
    process, orders = sleeper
    probes._running = (os.getpid(), process, orders)
    assert probes._orders() is orders


def test_a_fork_has_one_of_its_own_and_leaves_the_other_alone(sleeper):
    process, orders = sleeper
    probes._running = (os.getppid(), process, orders)
    assert probes._orders() is not orders
    assert probes._running[0] == os.getpid()
    assert process.poll() is None


def test_the_end_of_this_process_ends_its_own(sleeper):
    process, orders = sleeper
    probes._running = (os.getpid(), process, orders)
    probes._end()
    assert process.returncode is not None
    assert orders.fileno() == -1
    assert probes._running is None
    probes._end()  # there is none


def test_the_end_of_a_fork_ends_no_other(sleeper):
    process, orders = sleeper
    probes._running = (os.getppid(), process, orders)
    probes._end()
    assert process.poll() is None
    assert probes._running is None


@pytest.fixture
def broken() -> Iterator[socket.socket]:
    """A socket that nothing reads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours:
        yield ours


@pytest.mark.parametrize("failures", [0, 1])
def test_what_could_not_be_sent_is_sent_once_more(picture, broken, monkeypatch: pytest.MonkeyPatch, failures: int):
    orders, sockets = probes._orders, [broken] * failures
    monkeypatch.setattr(probes, "_orders", lambda: sockets.pop() if sockets else orders())
    assert asked(picture) == FINE


def test_what_could_not_be_sent_twice_is_for_later(picture, broken, monkeypatch: pytest.MonkeyPatch):
    tried: list[int] = []

    def orders() -> socket.socket:
        tried.append(1)
        return broken

    monkeypatch.setattr(probes, "_orders", orders)
    with pytest.raises(ServiceBusy):
        asked(picture)
    assert len(tried) == 2


@pytest.mark.parametrize("seconds", [0.05, -1])
def test_an_answer_is_awaited_until_the_deadline(picture, sleeper, monkeypatch: pytest.MonkeyPatch, seconds: float):
    _, orders = sleeper
    monkeypatch.setattr(probes, "_orders", lambda: orders)
    with pytest.raises(ServiceBusy):
        asked(picture, seconds)

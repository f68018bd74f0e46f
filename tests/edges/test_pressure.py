"""The web server and clients that mean harm: pipelines, endless framing, answers that are not read, a full disk."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from apps.core.health import probes
from landcontracts.embedded.processes import free_port
from landcontracts.server.options import GRACE_SECONDS, MIB
from landcontracts.server.sender import Sender
from tests.edges.servers import Server, Waiting, answer, request_of, running, send, until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("pressure"), "--threads", "1", "--heavy-threads", "1") as started:
        yield started


def memory_of(pid: int) -> int:
    """Resident memory, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_pipeline_that_is_refused_does_not_hold_the_loop(tmp_path: Path):
    with running(tmp_path, "--threads", "1", "--heavy-threads", "1", WEB_MAX_WAITING="1") as server:
        held = Waiting(server, tmp_path)
        held.begin("/x", 3)  # one is in its thread, one waits, and one is refused: the lane is full
        until(lambda: held.began() == 1 and len(held.answers) == 1)
        with server.connect() as connection:
            # The first is answered by a thread of its own, which tells the loop to go on with the others.
            connection.sendall(request_of("GET", "/healthz") + request_of("GET", "/x") * 40)
            assert [answer(connection)[0] for _ in range(41)] == [200] + [503] * 40
        assert server.get("/healthz")[0] == 200
        held.go()
        assert [status for status, *_ in held.answers] == [503, 200, 200]


@pytest.mark.parametrize(
    ("first", "endless"),
    [(b"0\r\n", b"a: b\r\n"), (b"", b"5;aaaaaaaa"), (b"", b"1\r\nx\r\n"), (b"", b"1;extension=long\r\nx\r\n")],
    ids=["trailer", "control-line", "one-byte", "extension"],
)
def test_framing_without_end_is_refused(server: Server, first: bytes, endless: bytes):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/x", Transfer_Encoding="chunked") + first)
        connection.settimeout(0.0)
        sent, piece = 0, endless * (8192 // len(endless))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and sent < 50_000_000:
            try:
                sent += connection.send(piece[sent % len(piece) :])
            except BlockingIOError:
                pass
            except OSError:
                break
            try:
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
        connection.settimeout(20)
        status, _, body = answer(connection)
    assert (status, json.loads(body)["code"]) == (400, "malformed_request")
    assert sent < 10_000_000
    assert server.get("/healthz")[0] == 200


def test_answers_that_are_not_read_do_not_pile_up(server: Server):
    pid = int(server.get("/pid")[2])
    files, memory = open_files(pid), memory_of(pid)
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/big?9000000") * 30)
        assert server.get("/x")[0] == 200
        assert open_files(pid) < files + 10
        assert memory_of(pid) < memory + 40_000
        assert [len(answer(connection)[2]) for _ in range(30)] == [9_000_000] * 30


@pytest.mark.parametrize(
    "head", [b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 20_000 + b"GE T / HTTP/1.1\r\n\r\n"]
)
def test_what_the_parser_cannot_read_is_refused_in_words(server: Server, head: bytes):
    status, _, body = server.ask(head)
    assert (status, json.loads(body)["code"]) == (400, "malformed_request")


def test_a_length_of_many_digits(server: Server):
    assert server.ask(request_of("POST", "/x", Content_Length="9" * 5000))[0] in {400, 413}


def test_connections_stay_below_the_limit_of_open_files(tmp_path: Path):
    with running(tmp_path, files=400) as server:
        pid = int(server.get("/pid")[2])
        held = [server.connect() for _ in range(300)]
        try:
            assert [server.get("/x")[0] for _ in range(5)] == [200] * 5
            assert open_files(pid) < 300
        finally:
            for connection in held:
                connection.close()


def test_a_full_disk_is_no_fault_of_the_client_and_costs_no_place(tmp_path: Path):
    with running(tmp_path) as server:
        pid = int(server.get("/pid")[2])
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        for size in (500_000, *[1400] * 8):
            with server.connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(request_of("POST", "/file", Content_Length="500000", X_Person="p"))
                reader = threading.Thread(target=lambda: outcome.append(answer(connection)))
                outcome: list[tuple[int, dict[str, str], bytes]] = []
                reader.start()
                for _ in range(0, 500_000, size):
                    try:
                        connection.sendall(b"x" * size)
                    except OSError:
                        break
                reader.join(20)
            status, headers, body = outcome[0]
            assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "storage_full", "30")
        assert server.get("/x")[0] == 200


def test_a_place_is_held_until_the_answer_is_read(server: Server):
    """An answer that is not read stands on the server's disk."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(6)]
        for connection in slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request_of("GET", "/heavy-big?30000000", X_Person="reader"))
            assert connection.recv(1)
        assert server.get("/heavy", X_Person="reader")[0] == 429
        until(lambda: slow[0].recv(1_000_000) == b"" or server.get("/heavy", X_Person="reader")[0] == 200)
        for connection in slow[1:]:
            connection.close()
        until(lambda: server.get("/heavy", X_Person="reader")[0] == 200)


def test_slow_senders_leave_places_to_requests_that_have_come(tmp_path: Path):
    with running(tmp_path, "--threads", "2", "--heavy-threads", "1", WEB_HEAVY_IN_ALL="6") as server:
        senders = [server.connect() for _ in range(5)]
        statuses = []
        for number, connection in enumerate(senders):
            head = request_of("POST", "/file", Content_Length="9000000", Expect="100-continue", X_Person=f"p{number}")
            connection.sendall(head)
            status, _, body = answer(connection)
            statuses.append(status if status == 100 else (status, json.loads(body)["code"]))
        assert statuses == [100] * 4 + [(503, "service_busy")], "of six places four are for bodies on their way"
        assert server.get("/heavy", X_Person="other")[0] == 200
        senders[0].sendall(bytes(9_000_000))
        assert answer(senders[0])[0] == 200
        for connection in senders:
            connection.close()


def test_health_answers_while_readiness_and_metrics_hang(server: Server, tmp_path: Path):
    hanging = Waiting(server, tmp_path)
    hanging.begin("/readyz", 1)
    hanging.begin("/metrics", 1)
    until(lambda: hanging.began() == 2)
    assert server.get("/healthz")[0] == 200
    hanging.go()
    assert [status for status, *_ in hanging.answers] == [200, 200]


def test_a_failure_has_no_body_where_a_header_was_asked_for(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("HEAD", "/fails") + request_of("GET", "/x"))
        status, headers, _ = answer(connection, head=True)
        assert status == 500
        assert int(headers["content-length"]) > 0
        if headers.get("connection") != "close":
            assert answer(connection)[0] == 200
        else:
            assert connection.recv(100) == b""


def test_the_operators_address_has_threads_of_its_own(tmp_path: Path):
    inner = free_port()
    with running(tmp_path, "--inner", f"127.0.0.1:{inner}", "--threads", "1") as server:
        hanging = Waiting(server, tmp_path)
        hanging.begin("/readyz", 4)
        hanging.begin("/x", 2)
        until(lambda: hanging.began() == 3)  # all threads of strangers
        operator = Server(inner, server.process, server.log)
        assert [operator.get(path)[0] for path in ("/readyz", "/metrics")] == [200] * 2
        held = Waiting(operator, tmp_path)
        held.begin("/metrics", 2)
        until(lambda: hanging.began() == 5)  # and both of the operator's
        assert operator.get("/healthz")[0] == 200
        hanging.go()
        held.go()
        assert [status for status, *_ in hanging.answers] == [200] * 6


def test_readiness_is_probed_once_a_second_however_often_strangers_ask(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    recent = probes.Recent()
    dependencies = [probes.Dependency("x", lambda: asked.append(1))]
    reports = [recent.report(dependencies) for _ in range(20)]
    assert (len(asked), {report.ready for report in reports}) == (1, {True})
    monkeypatch.setattr(recent, "_until", 0.0)
    assert recent.report(dependencies).ready
    assert len(asked) == 2


def test_each_answer_has_its_own_time_to_be_read():
    """What is left of one answer when its time is looked at, and of a later one, is not one that is read slowly."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        sender = Sender(ours)
        sender.send(bytes(MIB))
        assert not sender.is_read_too_slowly(100.0)
        while not sender.is_empty:
            theirs.recv(MIB)
            sender.flush()
        sender.send(bytes(MIB))
        later = 100.0 + GRACE_SECONDS + 1
        assert not sender.is_read_too_slowly(later)
        assert sender.is_read_too_slowly(later + GRACE_SECONDS + 1)
        sender.drop()


def test_a_full_disk_is_one_for_a_body_in_chunks_too(tmp_path: Path):
    with running(tmp_path) as server:
        resource.prlimit(int(server.get("/pid")[2]), resource.RLIMIT_FSIZE, (100_000, 100_000))
        with server.connect() as connection:
            connection.sendall(request_of("POST", "/x", Transfer_Encoding="chunked"))
            send(connection, (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 8)
            status, _, body = answer(connection)
        assert (status, json.loads(body)["code"]) == (503, "storage_full")
        assert server.get("/x")[0] == 200

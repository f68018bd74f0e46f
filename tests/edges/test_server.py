"""The web server: what arrives slowly takes no thread, what waits too long is refused, and nothing under way is lost."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.edges.servers import Server, Waiting, answer, code, echo, request_of, running, send, until

QUICK = {"WEB_HEADER_SECONDS": "1", "WEB_GRACE_SECONDS": "1", "WEB_IDLE_SECONDS": "2", "WEB_MAX_WAIT_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server"), "--threads", "2", "--heavy-threads", "1") as started:
        yield started


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A server of short times."""
    with running(tmp_path_factory.mktemp("quick"), "--threads", "2", "--heavy-threads", "1", **QUICK) as started:
        yield started


@pytest.fixture
def waiting(server: Server, tmp_path: Path):
    held = Waiting(server, tmp_path)
    yield held
    held.go()


# --- Slow clients ----------------------------------------------------------------------------------------------------


def test_bodies_that_do_not_come_take_no_thread(server: Server):
    connections = [server.connect() for _ in range(60)]
    try:
        for number, connection in enumerate(connections):
            path = ("/x", "/file", "/seam/x")[number % 3]
            connection.sendall(request_of("POST", path, Content_Length="500", X_Person="p", X_Seal="good") + b"x")
        for path in ("/healthz", "/x"):
            started = time.monotonic()
            assert server.get(path)[0] == 200
            assert time.monotonic() - started < 1
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "sent",
    [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", request_of("POST", "/x", Content_Length="500") + b"x"],
    ids=["line", "header", "body"],
)
def test_what_arrives_too_slowly_ends_in_words(quick: Server, sent: bytes):
    with quick.connect() as connection:
        connection.sendall(sent)
        started = time.monotonic()
        status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert 0.9 < time.monotonic() - started < 5


def test_a_trickle_ends_as_well_and_a_steady_stream_does_not(quick: Server):
    with quick.connect() as trickle, quick.connect() as steady:
        trickle.sendall(request_of("POST", "/x", Content_Length="500000"))
        body = os.urandom(500_000)
        steady.sendall(request_of("POST", "/x", Content_Length="500000"))
        for start in range(0, len(body), 20_000):  # 100 kB a second for five seconds
            steady.sendall(body[start : start + 20_000])
            send(trickle, b"x")
            steady.settimeout(0.2)
            with pytest.raises(TimeoutError):
                steady.recv(1) if start + 20_000 < len(body) else _timed_out()
        steady.settimeout(20)
        assert answer(steady)[2] == echo("POST", "/x", body)
        assert answer(trickle)[0] == 408


def test_a_client_that_was_fast_may_pause_for_a_bounded_time(quick: Server):
    with quick.connect() as connection:
        connection.sendall(request_of("POST", "/x", Content_Length="1000000") + b"x" * 999_999)
        started = time.monotonic()
        assert answer(connection)[0] == 408
        assert 2.9 < time.monotonic() - started < 8


def test_a_body_has_a_deadline_however_steadily_it_comes(tmp_path: Path):
    with running(tmp_path, **QUICK, WEB_BODY_SECONDS="2") as server, server.connect() as connection:
        connection.sendall(request_of("POST", "/x", Content_Length="1000000"))
        connection.settimeout(0.1)
        started = time.monotonic()
        while True:
            send(connection, b"x" * 10_000)
            try:
                connection.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                assert time.monotonic() - started < 8
        connection.settimeout(20)
        assert answer(connection)[0] == 408


def test_while_half_of_the_places_are_taken_files_come_faster(tmp_path: Path):
    with running(tmp_path, **QUICK, WEB_HEAVY_IN_ALL="3") as server, server.connect() as slow, server.connect() as fast:
        asked = {"Content_Length": "300000", "Expect": "100-continue"}  # of three places, two receive
        slow.sendall(request_of("POST", "/file", X_Person="p", **asked))
        fast.sendall(request_of("POST", "/file", X_Person="q", **asked))
        assert [answer(connection)[0] for connection in (slow, fast)] == [100, 100]
        body, sent = os.urandom(300_000), 0
        while sent < len(body):
            fast.sendall(body[sent : sent + 10_000])  # 100 kB a second
            send(slow, b"x" * 2_000)  # 20 kB a second, enough for one that is alone
            sent += 10_000
            fast.settimeout(0.1)
            with pytest.raises(TimeoutError):
                fast.recv(1) if sent < len(body) else _timed_out()
        fast.settimeout(20)
        assert answer(fast)[2] == echo("POST", "/file", body)
        assert answer(slow)[0] == 408


def _timed_out() -> None:
    raise TimeoutError


def test_an_idle_connection_and_a_silent_one_are_closed(quick: Server):
    with quick.connect() as idle, quick.connect() as silent:
        idle.sendall(request_of("GET", "/x"))
        assert answer(idle)[0] == 200
        assert (answer(silent)[0], answer(idle)[0]) == (0, 0)


def test_a_client_that_does_not_read_holds_no_thread(quick: Server):
    connections = []
    try:
        for _ in range(4):  # more than there are threads
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", quick.port))
            connection.sendall(request_of("GET", f"/big?{8 * 2**20}"))
            connections.append(connection)
        assert quick.get("/x")[0] == 200
        for _ in range(20):  # a byte now and then is not reading
            for connection in connections:
                connection.recv(1)
            time.sleep(0.2)
        for connection in connections:
            assert _read_all(connection) < 8 * 2**20, "it was closed before its end"
    finally:
        for connection in connections:
            connection.close()


def _read_all(connection: socket.socket) -> int:
    size = 0
    try:
        while part := connection.recv(65_536):
            size += len(part)
    except ConnectionResetError:
        pass
    return size


def test_past_the_limit_the_longest_waiting_connection_is_given_up(tmp_path: Path):
    with running(tmp_path, WEB_MAX_CONNECTIONS="20") as server:
        held = [server.connect() for _ in range(40)]
        try:
            assert [server.get("/x")[0] for _ in range(5)] == [200] * 5
            assert held[0].recv(1) == b"", "the first one was closed"
        finally:
            for connection in held:
                connection.close()


# --- Who sends -------------------------------------------------------------------------------------------------------


def test_a_stranger_is_refused_before_a_long_body_is_sent(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/file", Content_Length="10000000", Expect="100-continue"))
        status, headers, body = answer(connection)
    assert (status, code(body)) == (401, "not_authenticated")
    assert headers["www-authenticate"].startswith("Bearer")


def test_a_persons_long_body_is_received(server: Server):
    body = os.urandom(3 * 2**20)
    assert server.ask(request_of("POST", "/file", body, X_Person="p"))[2] == echo("POST", "/file", body)
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/file", Content_Length="100000", Expect="100-continue", X_Person="p"))
        assert answer(connection)[0] == 100
        connection.sendall(body[:100_000])
        assert answer(connection)[2] == echo("POST", "/file", body[:100_000])


def test_where_it_cannot_be_known_who_sends_the_answer_is_busy(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/file", Content_Length="10000000", X_Person="broken"))
        assert answer(connection)[0] == 503


def test_a_call_with_a_wrong_seal_is_refused_before_its_body(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/seam/x", Content_Length="1000000", X_Seal="forged"))
        status, _, body = answer(connection)
    assert (status, json.loads(body)) == (401, {"fault": "not authentic"})


def test_one_person_has_few_expensive_requests_and_others_are_not_kept_from_theirs(server: Server, waiting: Waiting):
    waiting.begin("/heavy", 9, X_Person="many")
    until(lambda: waiting.began() == 1 and len(waiting.answers) == 3)  # there is one heavy thread; five wait
    for status, headers, body in waiting.answers:
        assert (status, code(body), headers["retry-after"]) == (429, "too_many_at_once", "5")
        assert headers.get("connection") != "close", "the request was received whole"
    waiting.begin("/heavy", 1, X_Person="other")
    assert server.get("/x")[0] == server.get("/healthz")[0] == 200
    waiting.go()
    assert sorted(status for status, *_ in waiting.answers) == [200] * 7 + [429] * 3
    assert server.get("/heavy", X_Person="many")[0] == 200, "the places were given back"


def test_a_place_is_given_back_by_a_client_that_goes_away(server: Server):
    for _ in range(3):
        connections = [server.connect() for _ in range(6)]
        for connection in connections:
            head = request_of("POST", "/file", Content_Length="10000000", X_Person="fickle", Expect="100-continue")
            connection.sendall(head)
            assert answer(connection)[0] == 100
        with server.connect() as seventh:
            seventh.sendall(head)
            assert answer(seventh)[0] == 429
        for connection in connections:
            connection.close()
        until(lambda: server.get("/heavy", X_Person="fickle")[0] == 200)


def test_health_answers_as_many_as_ask_at_once(server: Server):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(300)]
        for connection in connections:
            connection.sendall(request_of("GET", "/healthz"))
        assert {answer(connection)[0] for connection in connections} == {200}


# --- Overload --------------------------------------------------------------------------------------------------------


def test_what_would_wait_too_long_is_refused_and_health_answers(quick: Server, tmp_path: Path):
    held = Waiting(quick, tmp_path)
    held.begin("/x", 2)
    until(lambda: held.began() == 2)  # all threads
    late = Waiting(quick, tmp_path)
    late.begin("/x", 5)
    late.begin("/seam/x", 1, X_Seal="good")
    assert quick.get("/healthz")[0] == 200
    time.sleep(0.6)  # past the longest wait
    held.go()
    late.go()
    assert [status for status, *_ in held.answers] == [200, 200]
    assert [(status, headers["retry-after"]) for status, headers, _ in late.answers] == [(503, "2")] * 6
    assert {json.loads(body).get("code") for *_, body in late.answers} == {"service_busy"}
    seam = [json.loads(body) for *_, body in late.answers if "category" in json.loads(body)]
    assert seam == [{"code": "service_busy", "category": "unavailable", "fields": {}}]


# --- Ends ------------------------------------------------------------------------------------------------------------


def test_a_process_that_is_killed_is_started_again(tmp_path: Path):
    with running(tmp_path, "--workers", "2") as server:
        pids = set()
        until(lambda: pids.add(int(server.get("/pid")[2])) or len(pids) == 2)
        killed = pids.pop()
        os.kill(killed, signal.SIGKILL)
        until(lambda: (pid := _pid(server)) and pid not in {killed, *pids})
        assert server.process.poll() is None


def test_a_process_that_it_inherited_ends_without_ending_it(tmp_path: Path):
    """In a container it is the first process, to which the kernel gives those whose parents have ended."""
    with running(tmp_path, inherits=True) as server:
        pid = int(server.get("/pid")[2])
        orphan = int(server.get("/orphan")[2])
        until(lambda: _parent(orphan) == server.process.pid)
        os.kill(orphan, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{orphan}").exists())
        assert (server.process.poll(), int(server.get("/pid")[2])) == (None, pid)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _pid(server: Server) -> int:
    try:
        return int(server.get("/pid")[2])
    except (OSError, ValueError):
        return 0


def test_a_stopped_server_answers_what_it_received(tmp_path: Path):
    with running(tmp_path) as server, server.connect() as idle:
        idle.sendall(request_of("GET", "/x"))
        answer(idle)
        held = Waiting(server, tmp_path)
        held.begin("/x", 3)
        until(lambda: held.began() == 3)
        server.process.send_signal(signal.SIGTERM)
        assert answer(idle)[0] == 0, "an idle connection is closed"
        with pytest.raises(OSError):
            until(lambda: server.connect().close())
        held.go()
        assert [(status, headers["connection"]) for status, headers, _ in held.answers] == [(200, "close")] * 3
        assert server.process.wait(20) == 0


def test_a_server_whose_supervisor_was_killed_ends(tmp_path: Path):
    with running(tmp_path) as server:
        pid = int(server.get("/pid")[2])
        server.process.kill()
        until(lambda: not Path(f"/proc/{pid}").exists())


def test_an_application_that_cannot_be_loaded_ends_the_server(tmp_path: Path):
    import subprocess
    import sys

    command = [sys.executable, "-m", "landcontracts.server", "--bind", "127.0.0.1:0"]
    ended = subprocess.run(
        [*command, "--application", "tests.nothing:app"], capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert b"does not start" in ended.stderr
    taken = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    with taken:
        ended = subprocess.run([*command[:-1], address], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, b"in use" in ended.stderr) == (1, True)

"""The next request of a kept connection, for which a thread waits: each is answered as on a new connection."""

import socket
import struct
import threading
from pathlib import Path

import pytest

from tests.edges.servers import Server, Waiting, answer, code, echo, request_of, running, send

ROUNDS = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("next"), "--threads", "4", "--heavy-threads", "1") as started:
        yield started


def chunked(path: str, *chunks: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


LONG = b"x" * 300_000
GOOD = {
    "whole": ([request_of("GET", "/x")], echo("GET", "/x", b"")),
    "behind empty lines": ([b"\r\n\r\n", request_of("GET", "/x")], echo("GET", "/x", b"")),
    "a line in parts": ([b"GE", b"T /x HT", b"TP/1.1\r\nHost: x\r\n\r", b"\n"], echo("GET", "/x", b"")),
    "its body later": ([request_of("POST", "/x", b"body")[:-4], b"bo", b"dy"], echo("POST", "/x", b"body")),
    "more than is received at a time": ([request_of("POST", "/x", LONG)], echo("POST", "/x", LONG)),
    "chunks": ([chunked("/x", b"bo", b"dy")], echo("POST", "/x", b"body")),
    "chunks in parts": (
        [chunked("/x", b"bo", b"dy")[:-9], chunked("/x", b"bo", b"dy")[-9:]],
        echo("POST", "/x", b"body"),
    ),
    "in another lane": ([request_of("GET", "/healthz")], echo("GET", "/healthz", b"")),
    "of a stranger": ([request_of("GET", "/heavy")], echo("GET", "/heavy", b"")),
    "expensive": ([request_of("GET", "/heavy", X_Person="anna")], echo("GET", "/heavy", b"")),
    "a file": ([request_of("POST", "/file", LONG, X_Person="anna")], echo("POST", "/file", LONG)),
    "not read to its end": ([request_of("GET", "/big?2000000")], None),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_is_answered_and_so_is_what_follows(server: Server, name: str):
    parts, expected = GOOD[name]
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUNDS):
            connection.sendall(request_of("GET", "/before"))
            assert answer(connection)[2] == echo("GET", "/before", b"")
            for number, part in enumerate(parts):
                if number:
                    assert server.get("/between")[0] == 200  # the server has had its time to take the part before
                connection.sendall(part)
            status, _, body = answer(connection)
            assert status == 200
            assert body == expected if expected is not None else len(body) == 2_000_000


def test_a_pipeline_is_answered_in_its_order(server: Server):
    with server.connect() as connection:
        for _ in range(ROUNDS):
            connection.sendall(request_of("GET", "/1"))
            answer(connection)
            connection.sendall(
                request_of("GET", "/2") + request_of("GET", "/healthz") + request_of("POST", "/3", b"body")
            )
            said = [answer(connection)[2] for _ in range(3)]
            assert said == [echo("GET", "/2", b""), echo("GET", "/healthz", b""), echo("POST", "/3", b"body")]


BAD = {
    "malformed": (b"GET  HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "too large": (request_of("POST", "/x", Content_Length="2000000"), 413, "body_too_large"),
    "a stranger's file": (request_of("POST", "/file", Content_Length="100000"), 401, "not_authenticated"),
    "headers too large": (request_of("GET", "/x", X_Long="x" * 9000), 431, "headers_too_large"),
    "without a route": (request_of("GET", "/without-route"), 500, "internal_error"),
    "a seal that cannot be checked": (request_of("POST", "/x", b"body", X_Seal="broken"), 500, "internal_error"),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused(server: Server, name: str):
    request, status, expected = BAD[name]
    for _ in range(ROUNDS):
        with server.connect() as connection:
            connection.sendall(request_of("GET", "/before"))
            answer(connection)
            send(connection, request)
            said = answer(connection)
            assert (said[0], code(said[2])) == (status, expected)
            assert answer(connection)[0] == 0


@pytest.mark.parametrize("body", [b"", b"0123456789"])
def test_a_forged_seam_call_is_refused_before_its_body(server: Server, body: bytes):
    call = request_of("POST", "/seam/x", b"0123456789", X_Seal="forged")
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/before"))
        answer(connection)
        connection.sendall(call.removesuffix(b"0123456789") + body)
        assert answer(connection)[0] == 401
        assert answer(connection)[0] == 0


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_client_that_goes_leaves_its_thread(server: Server, *, is_reset: bool):
    for _ in range(ROUNDS):
        connection = server.connect()
        connection.sendall(request_of("GET", "/before"))
        answer(connection)
        connection.sendall(b"GET /ha")
        if is_reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert server.get("/x")[2] == echo("GET", "/x", b"")


def test_busy_clients_do_not_keep_threads_from_others(tmp_path: Path):
    """Two threads: one client asks without an end, another has its requests held, and a third is answered all the same."""
    stopped = threading.Event()
    with running(tmp_path / "server", "--threads", "2", "--heavy-threads", "1") as server, server.connect() as busy:

        def ask() -> None:
            while not stopped.is_set():
                busy.sendall(request_of("GET", "/busy"))
                assert answer(busy)[2] == echo("GET", "/busy", b"")

        asking = threading.Thread(target=ask)
        asking.start()
        held = Waiting(server, tmp_path)
        held.begin("/held")
        for _ in range(ROUNDS):
            assert server.get("/x")[2] == echo("GET", "/x", b"")
        held.go()
        stopped.set()
        asking.join(20)
        assert not asking.is_alive()

"""The web server and what a request is made of: framing, headers, chunks; what has two meanings is refused."""

import os
import threading
import time

import pytest

from tests.edges.servers import Server, answer, code, echo, request_of, running, send


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("framing"), "--threads", "2", "--heavy-threads", "1") as started:
        yield started


LINE, HOST = b"GET /x HTTP/1.1\r\n", b"Host: x\r\n\r\n"
MANY = 60_000  # of bytes, near to the longest header


@pytest.mark.parametrize("size", [0, 1, 70_000, 2**20])
def test_a_body_is_received_whole_in_either_framing(server: Server, size: int):
    body = os.urandom(size)
    assert server.ask(request_of("POST", "/x", body, **({} if body else {"Content_Length": "0"})))[2] == echo(
        "POST", "/x", body
    )
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
    request = request_of("POST", "/x", Transfer_Encoding="chunked") + chunks + b"0\r\n\r\n"
    assert server.ask(request)[2] == echo("POST", "/x", body)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n",
        b"POST /x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\n folded: 1\r\nContent-Length : 3\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /x\r\nHost: x\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/11.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
        b"GET /x HTTP/1.1\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET /x HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET http://x/x HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET http://me@x/x HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_a_request_of_two_meanings_is_refused_and_the_connection_closed(server: Server, head: bytes):
    with server.connect() as connection:
        connection.sendall(head + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = answer(connection)
        assert (status, headers["connection"]) == (400, "close")
        assert code(body) == "malformed_request" or b"malformed" in body
        assert answer(connection)[0] == 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET a://" + b"1" * MANY + b" BAD\r\n" + HOST, 400),
        (b"GET a://" + b"1" * MANY + b"\r\n" + HOST, 400),
        (b"GET a://" + b"1" * MANY + b" HTTP/1.1\r\n" + HOST, 431),
        (b"GET " + b"a:" * (MANY // 2) + b" HTTP/1.1\r\n" + HOST, 400),
        (b"GET /" + b"x" * 8191 + b" HTTP/1.1\r\n" + HOST, 200),
        (b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n" + HOST, 431),
        (LINE + b"A:" + b"x" * 8192 + b"\r\n" + HOST, 200),
        (LINE + b"A:" + b"x" * 8193 + b"\r\n" + HOST, 431),
        (LINE + (b"A:" + b"x" * 4096 + b"\r\n") * 2 + HOST, 431),  # they are joined
        (LINE + b'Cookie: a="' + b'\\"' * 1000 + b'"\r\n' + HOST, 200),
        (LINE + b'Cookie: a="' + b'\\"' * 1001 + b'"\r\n' + HOST, 431),
        (b"G" * MANY + b" /x HTTP/1.1\r\n" + HOST, 400),
        (LINE + b"A:" + b" " * MANY + b"b\r\n" + HOST, 200),
        (LINE + b"A:" + b"\t " * (MANY // 2) + b"b\r\n" + HOST, 200),
        (LINE + b"A:" + b" " * MANY + b"\x01\r\n" + HOST, 400),
        (LINE + b"A:b" + b" " * MANY + b"\x01\r\n" + HOST, 400),
        (LINE + b"A:" + b"b " * (MANY // 2) + b"\x01\r\n" + HOST, 400),
        (LINE + b"A:" + b"\r\n  " * (MANY // 4) + b"b\r\n" + HOST, 400),
        (LINE + b"A" * MANY + b"\r\n" + HOST, 400),
        (LINE + b"A:b\r\n" * 127 + HOST, 200),
        (LINE + b"A:b\r\n" * 128 + HOST, 431),
        (LINE + b"A:b\r\n" * (MANY // 5) + HOST, 431),
    ],
)
def test_a_header_takes_time_by_its_length_and_not_by_its_square(server: Server, head: bytes, status: int):
    """The loop reads it, for which all others wait: a square would be minutes."""
    started = time.monotonic()
    assert server.ask(head)[0] == status
    assert server.get("/healthz")[0] == 200
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("target", ["http://x/a?b", "http://a/a", "http://http/a", "/a#b", "//a"])
def test_the_path_of_an_address_in_any_form(server: Server, target: str):
    assert server.get(target)[2] == echo("GET", "/a", b"")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"1\r\nx\r\n" * 1_000, 200),
        (b"1\r\nx\r\n" * 3_000, 400),
        (b"8\r\n12345678\r\n" * 10_000, 400),
        (b"40\r\n" + b"x" * 64 + b"\r\n", 200),
        ((b"40\r\n" + b"x" * 64 + b"\r\n") * 8_000, 200),
        ((b"10000\r\n" + b"x" * 65_536 + b"\r\n") + b"1\r\nx\r\n" * 1_000, 200),
        (b"1;a=" + b"b" * 9_000 + b"\r\nx\r\n", 400),
        (b'1;a="' + b'b\\"' * 1_000 + b'"\r\nx\r\n', 200),
    ],
)
def test_chunks_may_be_small_but_not_for_ever(server: Server, body: bytes, status: int):
    with server.connect() as connection:
        send(connection, request_of("POST", "/x", Transfer_Encoding="chunked") + body + b"0\r\n\r\n")
        assert answer(connection)[0] == status


def test_a_coding_that_is_not_supported(server: Server):
    assert server.ask(request_of("POST", "/x", Transfer_Encoding="gzip, chunked"))[0] == 501


def test_requests_in_one_packet_are_answered_in_their_order(server: Server):
    bodies = [b"one", b"", b"three" * 1000]
    with server.connect() as connection:
        connection.sendall(b"".join(request_of("POST", f"/{number}", body) for number, body in enumerate(bodies)))
        assert [answer(connection)[2] for _ in bodies] == [
            echo("POST", f"/{number}", body) for number, body in enumerate(bodies)
        ]


def test_a_head_request_gets_the_header_alone(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("HEAD", "/x") + request_of("GET", "/x"))
        status, headers, body = answer(connection, head=True)
        assert (status, int(headers["content-length"]) > 0, body) == (200, True, b"")
        assert answer(connection)[2] == echo("GET", "/x", b"")


def test_a_client_that_asks_first_is_told_to_go_on(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/x", Content_Length="3", Expect="100-continue"))
        assert answer(connection)[0] == 100
        connection.sendall(b"abc")
        assert answer(connection)[2] == echo("POST", "/x", b"abc")


def test_a_body_that_is_too_large_is_refused_in_words_although_it_is_still_sent(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("POST", "/x", Content_Length=str(2**20 + 1)))
        sender = threading.Thread(target=lambda: send(connection, b"x" * 2**20))
        sender.start()
        status, headers, body = answer(connection)
        sender.join(20)
    assert (status, code(body), headers["content-type"]) == (413, "body_too_large", "application/problem+json")
    chunks = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert server.ask(request_of("POST", "/x", Transfer_Encoding="chunked") + chunks * 17)[0] == 413


def test_headers_that_are_too_large(server: Server):
    assert server.get("/x", Long="x" * 70_000)[0] == 431


def test_an_application_that_fails_is_an_internal_error(server: Server):
    status, _, body = server.get("/fails")
    assert (status, code(body)) == (500, "internal_error")
    assert b"it fails" not in body

"""The web server and what an application answers (PEP 3333): lengths, parts, odd headers, clients that are gone."""

import socket
import struct
from pathlib import Path

import pytest

from tests.edges.servers import Server, Waiting, answer, code, echo, request_of, running, until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("answers"), "--threads", "2", "--heavy-threads", "1") as started:
        yield started


def everything(connection: socket.socket) -> bytes:
    said = b""
    while part := connection.recv(65_536):
        said += part
    return said


def test_an_answer_in_parts_without_a_length_comes_in_chunks(server: Server):
    body = echo("GET", "/parts", b"")
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/parts") + request_of("GET", "/x", Connection="close"))
        said = everything(connection)
    head, _, rest = said.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:5], body[5:]))
    assert rest.startswith(chunks + b"0\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
def test_an_older_client_gets_it_until_the_connection_ends(server: Server, keep: bytes):
    with server.connect() as connection:
        connection.sendall(b"GET /parts HTTP/1.0\r\nHost: x\r\n" + keep + b"\r\n")
        head, _, body = everything(connection).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == echo("GET", "/parts", b"")


def test_an_older_client_may_keep_its_connection(server: Server):
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /x HTTP/1.0\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n")
            status, headers, body = answer(connection)
            assert (status, headers["connection"], body) == (200, "Keep-Alive", echo("GET", "/x", b""))


def test_a_body_that_is_too_short_ends_the_connection_and_one_too_long_is_cut(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/short"))
        assert everything(connection).endswith(echo("GET", "/short", b""))
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/long") + request_of("GET", "/x"))
        assert answer(connection)[2] == echo("GET", "/long", b"")[:-1]
        assert answer(connection)[2] == echo("GET", "/x", b"")


def test_an_answer_without_a_body_has_none(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/nothing") + request_of("GET", "/x", Connection="close"))
        assert b"\r\n\r\nHTTP/1.1 200 OK" in everything(connection)


def test_a_header_that_cannot_be_sent_is_an_internal_error(server: Server):
    status, _, body = server.get("/odd-header")
    assert (status, code(body)) == (500, "internal_error")


def test_a_client_that_sends_no_more_is_still_answered(server: Server):
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/x") * 3)
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection).count(echo("GET", "/x", b"")) == 3


def test_a_client_that_resets_its_connection_costs_nothing(server: Server, tmp_path: Path):
    """Neither the thread that answers it, nor the time of the loop."""
    pid = int(server.get("/pid")[2])
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        connection = server.connect()
        connection.sendall(request_of("GET", "/x", X_Wait=str(folder)))
        until(lambda folder=folder: list(folder.glob("began-*")))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        before = used(pid)
        for _ in range(20):
            assert server.get("/healthz")[0] == 200
        assert used(pid) - before < 0.5
        (folder / "go").touch()
        assert server.get("/x")[0] == 200


def used(pid: int) -> float:
    """Seconds of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_pipeline_behind_a_waiting_request_is_answered_in_its_order(server: Server, tmp_path: Path):
    held = Waiting(server, tmp_path)
    with server.connect() as connection:
        connection.sendall(request_of("GET", "/first", X_Wait=str(tmp_path)))
        until(lambda: held.began() == 1)
        connection.sendall(request_of("POST", "/second", b"body") + request_of("GET", "/third"))
        assert server.get("/x")[0] == 200
        held.go()
        said = [answer(connection)[2] for _ in range(3)]
    assert said == [echo("GET", "/first", b""), echo("POST", "/second", b"body"), echo("GET", "/third", b"")]


def test_an_answer_ends_when_its_client_has_gone(server: Server, tmp_path: Path):
    """Even where much of it is kept for the client, so that no write finds out."""
    file = tmp_path / "parts"
    connection = server.connect()
    connection.sendall(request_of("GET", "/stream?1000", X_File=str(file)))
    until(file.with_suffix(".60").exists)  # 15 MB, more than the kernel keeps
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    until(file.exists)
    assert int(file.read_text()) < 1000

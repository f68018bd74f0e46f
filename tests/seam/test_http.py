"""The seam over HTTP: which callers are accepted, what is refused, and what a caller gets when no whole answer comes."""

import itertools
import os
import socket
import threading
import time

import msgspec
import pytest

from apps.authentication.interface import AUTHENTICATION
from apps.contracts.interface import CONTRACTS
from apps.core.interface.errors import RemoteCallFailed, SeamError
from apps.core.seam import signing
from apps.core.seam.client import http, registry
from apps.core.seam.client.registry import call
from apps.core.seam.client.transports import OverHttp
from tests.seam.servers import Behaving, answer_of, read_request
from tests.world import World

PATH = "/internal/seam/contracts/list"


def body(world: World) -> bytes:
    return msgspec.json.encode(
        {
            "context": {
                "actor": {"id": None, "roles": ["system"]},
                "request_id": "r",
                "trace": world.trace,
                "locale": "ru",
                "remaining_ms": 3000,
            },
            "arguments": {"limit": 1},
        }
    )


def send(path: str, content: bytes, **changes: str) -> tuple[int, bytes]:
    at, signature = signing.seal(caller="monolith", callee="contracts", method="POST", path=path, body=content)
    headers = {"X-Seam-Caller": "monolith", "X-Seam-Time": at, "X-Seam-Signature": signature}
    headers.update(changes)
    return post(path, headers, content)


def post(path: str, headers: dict[str, str], content: bytes) -> tuple[int, bytes]:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return http.post(http.Address(os.environ["WEB_URL"]), path, lines, content, 10)


def test_an_authentic_call_is_answered(here: World):
    status, answer = send(PATH, body(here))
    assert status == 200
    assert "items" in msgspec.json.decode(answer)


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Seam-Caller": "another-process"},
        {"X-Seam-Signature": "v1=" + "0" * 64},
        {"X-Seam-Signature": ""},
        {"X-Seam-Time": str(time.time_ns() // 1_000_000 - 31_000)},
        {"X-Seam-Time": str(time.time_ns() // 1_000_000 + 31_000)},
        {"X-Seam-Time": "now"},
        {"X-Seam-Time": "9" * 40},
    ],
)
def test_a_call_that_is_not_authentic_is_refused(here: World, changes):
    assert send(PATH, body(here), **changes)[0] == 401


@pytest.mark.parametrize(("seconds", "status"), [(-31, 401), (-25, 200), (25, 200), (31, 401)])
def test_a_seal_that_is_good_in_itself_has_an_age(here: World, seconds: int, status: int):
    content = body(here)
    at_ms = time.time_ns() // 1_000_000 + seconds * 1_000
    at, signature = signing.seal(
        caller="monolith", callee="contracts", method="POST", path=PATH, body=content, at_ms=at_ms
    )
    headers = {"X-Seam-Caller": "monolith", "X-Seam-Time": at, "X-Seam-Signature": signature}
    assert post(PATH, headers, content)[0] == status


def test_a_changed_body_or_path_is_refused(here: World):
    content = body(here)
    at, signature = signing.seal(caller="monolith", callee="contracts", method="POST", path=PATH, body=content)
    headers = {"X-Seam-Caller": "monolith", "X-Seam-Time": at, "X-Seam-Signature": signature}
    assert post(PATH, headers, content.replace(b"system", b"sistem"))[0] == 401
    assert post(PATH.replace("list", "get"), headers, content)[0] == 401
    assert post(PATH.replace("contracts", "documents"), headers, content)[0] == 401


def test_an_end_users_token_does_not_open_the_seam(here: World):
    person = here.person()
    pair = call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password="correct-horse-battery")
    headers = {"Authorization": f"Bearer {pair.access_token}"}
    assert post(PATH, headers, body(here))[0] == 401
    encoded = "/internal%2Fseam/contracts/list"
    assert post(encoded, headers, body(here))[0] in {401, 404}


def test_a_rotated_master_secret_is_accepted_beside_the_new_one(here: World, settings):
    old = settings.SEAM_MASTER_SECRETS[0]
    sealed = {"caller": "a", "callee": "b", "method": "POST", "path": "/x", "body": b"y"}
    at, signature = signing.seal(**sealed)
    settings.SEAM_MASTER_SECRETS = ["new-secret", old]
    signing.check(**sealed, at=at, signature=signature)
    settings.SEAM_MASTER_SECRETS = ["new-secret"]
    with pytest.raises(signing.BadSeal):
        signing.check(**sealed, at=at, signature=signature)


def test_a_secret_is_replaced_step_by_step_without_a_refused_call(settings):
    """The new secret is known everywhere, then first everywhere, then alone; one process may be a step ahead of the other."""
    steps = (["old"], ["old", "new"], ["new", "old"], ["new"])
    sealed = {"caller": "a", "callee": "b", "method": "POST", "path": "/x", "body": b"y"}
    for one, other in [*itertools.pairwise(steps), *zip(steps[1:], steps, strict=False)]:
        settings.SEAM_MASTER_SECRETS = one
        at, signature = signing.seal(**sealed)
        settings.SEAM_MASTER_SECRETS = other
        signing.check(**sealed, at=at, signature=signature)
    settings.SEAM_MASTER_SECRETS = steps[0]
    at, signature = signing.seal(**sealed)
    settings.SEAM_MASTER_SECRETS = steps[-1]
    with pytest.raises(signing.BadSeal):
        signing.check(**sealed, at=at, signature=signature)


def test_a_service_that_is_apart_seals_with_its_own_pairs_and_no_others(settings):
    pairs = signing.pairs_of("documents", ("documents", "contracts"))
    assert set(pairs) == {"monolith>documents", "contracts>documents", "documents>contracts"}
    at_home = signing.secrets_of("documents", "contracts")
    settings.SEAM_MASTER_SECRETS, settings.SEAM_PAIR_SECRETS = [], pairs
    assert signing.secrets_of("documents", "contracts") == at_home
    assert signing.secrets_of("contracts", "signatures") == ()
    with pytest.raises(SeamError, match="no secret"):
        signing.seal(caller="contracts", callee="signatures", method="POST", path="/x", body=b"")


def test_unknown_caller_names_cost_no_memory():
    for number in range(1_000):
        with pytest.raises(signing.BadSeal):
            signing.check(
                caller=f"unknown-{number}",
                callee="b",
                method="POST",
                path="/x",
                body=b"",
                at=str(time.time_ns() // 1_000_000),
                signature="v1=x",
            )
    assert signing._pair_secret.cache_info().currsize <= 256


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/internal/seam/contracts/nothing", b"{}", 404),
        ("/internal/seam/contracts/__init__", b"{}", 404),
        (PATH, b"not json", 400),
        (PATH, b"[" * 100_000, 400),
        (PATH, b'{"context": {}, "arguments": {}}', 400),
    ],
)
def test_what_is_no_call_is_a_fault_and_never_a_result(here: World, path, content, status):
    assert send(path, content)[0] == status


def test_unknown_fields_of_a_newer_caller_are_ignored(here: World):
    content = body(here).replace(b'"limit":1', b'"limit":1,"from_the_future":true')
    assert send(PATH, content)[0] == 200


class Misbehaving:
    """A server that gives one request a fixed answer."""

    def __init__(self, answer: bytes, *, hang: bool = False) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._answer, self._hang = answer, hang
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._answer)
            if self._hang:
                self._done.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join(10)
        self._socket.close()


def ask(here: World, url: str, timeout_ms: int = 2_000):
    from apps.core.interface.context import SYSTEM, new_context

    ctx = new_context(actor=SYSTEM, timeout_ms=timeout_ms)
    with registry.routed_by({"contracts": OverHttp(url, caller="monolith")}):
        return call(CONTRACTS).list(ctx=ctx)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n<htm>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_anything_but_a_whole_parsed_answer_may_have_been_executed(here: World, answer: bytes):
    with Misbehaving(answer) as server, pytest.raises(RemoteCallFailed) as failure:
        ask(here, server.url)
    assert failure.value.may_have_executed


def test_a_chunked_answer_of_a_foreign_server_is_read(here: World):
    answer = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"items": [], "next_cursor":null\r\n1\r\n}\r\n0\r\n\r\n'
    with Misbehaving(answer) as server:
        assert ask(here, server.url).items == ()


def test_a_refusal_of_a_foreign_server_is_raised_as_ours(here: World):
    from apps.contracts.interface import BadCursor

    content = b'{"code":"bad_cursor","category":"invalid"}'
    answer = b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)
    with Misbehaving(answer) as server, pytest.raises(BadCursor):
        ask(here, server.url)


def test_an_unreachable_server_has_executed_nothing(here: World):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(RemoteCallFailed) as failure:
        ask(here, url)
    assert not failure.value.may_have_executed


def test_a_hanging_server_takes_half_of_the_time_so_that_the_local_side_can_still_answer(here: World):
    with Misbehaving(b"HTTP/1.1 200", hang=True) as server:
        started = time.monotonic()
        with pytest.raises(RemoteCallFailed):
            ask(here, server.url, timeout_ms=3_000)
        assert time.monotonic() - started < 3


def test_a_connection_that_the_server_closed_meanwhile_is_made_again(here: World):
    content = b'{"items":[],"next_cursor":null}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)
    with Misbehaving(answer) as server:  # closes after one answer and accepts no second
        assert ask(here, server.url).items == ()
        with pytest.raises(RemoteCallFailed):
            ask(here, server.url, timeout_ms=300)


def test_a_threads_idle_connections_are_closed_with_it(here: World):
    """An unclosed one is a ResourceWarning, which is an error here."""
    ended = threading.Event()

    def behave(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(answer_of(b'{"items":[],"next_cursor":null}'))
        if not connection.recv(1):
            ended.set()

    with Behaving(behave) as server:
        thread = threading.Thread(target=ask, args=(here, server.url))
        thread.start()
        thread.join(10)
        assert ended.wait(5)

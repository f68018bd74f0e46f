"""Requests are counted by client, refused ones too, and a client cannot pose as another."""

import http.client
import json
import time

import pytest

from tests.gateway.envoys import Gateway, problem, running
from tests.gateway.test_tokens import forged
from tests.journeys.people import Person


def send_from(
    gateway: Gateway, path: str = "/api/v1/auth/me", *, source: str = "127.0.0.1", method: str = "GET", **headers: str
):
    """Status, headers and body, from an address of this machine."""
    port = int(gateway.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


@pytest.fixture(scope="module")
def tight():
    # So slow that no token comes back while a test runs.
    kinds = ("sign-in", "api", "files", "pages", "nowhere")
    with running(limit=[f"{kind}=4/4000" for kind in kinds]) as gateway:
        yield gateway


ADDRESSES = (f"127.0.0.{number}" for number in range(2, 250))


@pytest.fixture
def client() -> str:
    """An address that no test has used yet."""
    return next(ADDRESSES)


def statuses(gateway: Gateway, number: int, *args, **kwargs) -> list[int]:
    return [send_from(gateway, *args, **kwargs)[0] for _ in range(number)]


def test_requests_with_bad_tokens_are_counted(tight: Gateway, person: Person, client: str):
    headers = {"Authorization": f"Bearer {forged(person, 'other_key')}"}
    assert statuses(tight, 6, source=client, **headers) == [401] * 4 + [429] * 2
    # A good token is refused then as well: the bucket is the client's.
    assert send_from(tight, source=client, **person._headers)[0] == 429


def test_refused_log_ins_are_counted_and_never_ask_for_a_token(tight: Gateway, client: str):
    answered = statuses(tight, 6, "/api/v1/auth/login", source=client, method="POST")
    assert answered == [415] * 4 + [429] * 2 or answered == [422] * 4 + [429] * 2, answered


def test_each_client_and_each_limit_has_a_bucket_of_its_own(tight: Gateway, client: str):
    assert statuses(tight, 5, source=client)[-1] == 429
    assert send_from(tight, source=next(ADDRESSES))[0] == 401
    assert send_from(tight, "/.well-known/jwks.json", source=client)[0] == 429  # the same limit
    assert send_from(tight, "/sign-in/", source=client)[0] == 200
    assert send_from(tight, "/plots/", source=client)[0] == 302


def test_what_is_nowhere_and_what_is_too_large_are_counted(tight: Gateway, client: str):
    assert statuses(tight, 5, "/internal/seam/documents/get", source=client) == [404] * 4 + [429]
    large = {"Content-Length": str(10**9)}
    assert statuses(tight, 5, "/api/v1/documents/upload", source=client, method="POST", **large) == [413] * 4 + [429]


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Envoy-External-Address", "True-Client-IP", "X_Forwarded_For"],
)
def test_a_client_cannot_say_that_it_is_another(tight: Gateway, client: str, header: str):
    answered = [send_from(tight, source=client, **{header: f"203.0.113.{number}"})[0] for number in range(6)]
    assert answered == [401] * 4 + [429] * 2


def test_behind_a_trusted_proxy_the_client_is_whom_that_one_saw(client: str):
    with running(trusted_hops=1, limit=["api=2/4000"]) as gateway:
        status_for = lambda chain: send_from(gateway, source=client, **{"X-Forwarded-For": chain})[0]
        assert [status_for("198.51.100.1") for _ in range(3)] == [401, 401, 429]
        assert status_for("198.51.100.2") == 401
        # What stands before the proxy's own entry, the client wrote.
        assert [status_for(f"203.0.113.{number}, 198.51.100.1") for number in range(3)] == [429] * 3


def test_a_client_on_ipv6_is_its_network():
    with running(trusted_hops=1, limit=["api=2/4000"]) as gateway:
        status_for = lambda address: send_from(gateway, **{"X-Forwarded-For": address})[0]
        assert [status_for(f"2001:db8:1:1::{number}") for number in range(1, 5)] == [401, 401, 429, 429]
        assert status_for("2001:db8:1:2::1") == 401


def test_the_refusal_says_when_to_come_again_and_then_lets_in(client: str):
    with running(limit=["api=1/2"]) as gateway:
        assert send_from(gateway, source=client)[0] == 401
        status, headers, body = send_from(gateway, source=client, **{"Accept-Language": "ru"})
        problem = json.loads(body)
        assert (status, problem["code"], problem["title"]) == (429, "rate_limited", "Слишком много запросов")
        assert headers["content-type"] == "application/problem+json"
        assert headers["x-ratelimit-limit"] == "1"
        wait = int(headers["retry-after"])
        assert 0 < wait <= 2
        refused = time.monotonic()
        while (status := send_from(gateway, source=client)[0]) == 429 and time.monotonic() < refused + wait + 2:
            time.sleep(0.1)
        assert status == 401
        assert time.monotonic() - refused < wait + 1


def test_usual_limits_let_people_work(through: Gateway, person: Person):
    answers = [through.send("GET", "/api/v1/auth/me", **person._headers) for _ in range(50)]
    assert {answer.status for answer in answers} == {200}
    with running(limit=[]) as usual:
        assert {usual.send("GET", "/api/v1/auth/me", **person._headers).status for _ in range(50)} == {200}
        answer = usual.send("GET", "/api/v1/nothing")
        assert problem(answer)["code"] == "not_found"

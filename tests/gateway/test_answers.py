"""Envoy's own answers, and the headers that it passes on."""

import json
import socket
import time
import uuid

import pytest
from django.utils import translation

from apps.core.rest.problems import MEDIA_TYPE, TITLES
from landcontracts.gateway import refusals
from tests.gateway.envoys import SITE, Gateway, problem, running, send
from tests.gateway.test_tokens import head_of
from tests.journeys.people import Person
from tests.seam.servers import Behaving, answer_of


def test_titles_are_the_platforms_in_both_languages():
    assert refusals.CONTENT_TYPE == MEDIA_TYPE
    for refusal in refusals.REFUSALS:
        for language in refusals.LANGUAGES:
            if refusal.status in TITLES:
                with translation.override(language):
                    assert refusal.title[language] == translation.gettext(TITLES[refusal.status])


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "ru"), ("ru", "ru"), ("en", "en"), ("en-GB,en;q=0.9", "en"), ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"), ("de,en;q=0.5", "en"), ("de", "ru"), ("*", "ru"),
    ],
)  # fmt: skip
def test_the_gateway_answers_in_the_platforms_language(through: Gateway, direct: str, accepted: str, language: str):
    headers = {"Accept-Language": accepted} if accepted else {}
    ours = problem(through.send("GET", "/nowhere", **headers))
    platforms = problem(send(direct, "GET", "/api/v1/nothing", **headers))
    assert ours["title"] == platforms["title"] == refusals.NOT_FOUND.title[language]
    assert {name: ours[name] for name in ("type", "detail", "code")} == {
        name: platforms[name] for name in ("type", "detail", "code")
    }
    assert ours["instance"] == "/nowhere"


def test_a_body_that_is_too_large_is_refused(through: Gateway, person: Person):
    headers = {"Content-Type": "application/json", "Accept-Language": "en", **person._headers}
    small = b" " * (2 * 1024 * 1024 + 1)
    by_platform = problem(through.send("POST", "/api/v1/land-plots", small, **headers))
    large = b" " * (4 * 1024 * 1024)
    by_gateway = problem(through.send("POST", "/api/v1/land-plots", large, **headers))
    assert (by_platform["status"], by_gateway["status"]) == (413, 413)
    assert by_platform == by_gateway
    in_pieces = problem(through.send("POST", "/api/v1/land-plots", iter([large] * 2), **headers))
    assert in_pieces["status"] == 413


@pytest.mark.parametrize(
    "path", ["/api/v1/documents/upload", "/contracts/00000000-0000-4000-8000-000000000000/documents/"]
)
def test_a_file_that_says_it_is_too_large_is_refused_before_its_first_byte(through: Gateway, path: str):
    port = int(through.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**10}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def serving(body: bytes, *, but: bytes = b"/never", wait: float = 0):
    def behave(connection, number):
        while head := head_of(connection):
            if but in head:
                time.sleep(wait)
            connection.sendall(answer_of(b'{"keys": []}' if b"jwks" in head else body))

    return behave


def test_an_unreachable_platform_is_503_at_once():
    with Behaving(serving(b"{}")) as server:
        address = server.url
    with running(address) as gateway:
        started = time.monotonic()
        for path in ("/api/v1/contracts", "/", "/admin/"):
            answer = gateway.send("GET", path, **{"Accept-Language": "en"})
            assert problem(answer)["code"] == "service_unavailable"
            assert answer.headers["Retry-After"] == "1"
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("method", "headers", "times"),
    [("POST", {}, 1), ("PATCH", {}, 1), ("POST", {"Idempotency-Key": "k"}, 3), ("GET", {}, 3)],
    ids=["command", "change", "under a key", "query"],
)
def test_a_connection_that_breaks_is_503_and_only_what_is_harmless_was_sent_again(method: str, headers, times: int):
    heads = []

    def behave(connection, number):
        while head := head_of(connection):
            if b" /api/v1/contracts" in head:
                heads.append(head)
                return
            connection.sendall(answer_of(b'{"keys": []}'))

    with Behaving(behave) as server, running(server.url) as gateway:
        assert problem(gateway.send(method, "/api/v1/contracts", b"{}", **headers))["status"] == 503
    assert len(heads) == times


def test_a_slow_server_is_504_in_bounded_time():
    slow = serving(b"{}", but=b"/slow", wait=3)
    with Behaving(slow) as server, running(server.url, patience=["usual=1"]) as gateway:
        started = time.monotonic()
        headers = {"X-Envoy-Upstream-Rq-Timeout-Ms": "60000", "X-Envoy-Max-Retries": "9", "Accept-Language": "en"}
        answer = gateway.send("GET", "/api/v1/contracts/slow", **headers)
        assert problem(answer)["code"] == "gateway_timeout"
        assert 0.9 < time.monotonic() - started < 2.5


def test_the_times_are_above_the_platforms_own(through: Gateway):
    from apps.core.interface.context import DEFAULT_TIMEOUT_MS, PATIENT_TIMEOUT_MS
    from landcontracts.gateway.deployment import PATIENCE
    from landcontracts.gateway.table import Patience

    assert PATIENCE[Patience.USUAL] > 2 * DEFAULT_TIMEOUT_MS / 1000
    assert PATIENCE[Patience.LONG] > 2 * PATIENT_TIMEOUT_MS / 1000


@pytest.mark.parametrize("path", ["/api/v1/contracts", "/nowhere", "/internal/seam/x"])
def test_a_request_keeps_its_id_or_gets_one(through: Gateway, path: str):
    for identity in ("my-request-1", "3f2b8c1e-7a54-4e0b-9d39-0c6a5b8f1d22", "a" * 64):
        assert through.send("GET", path, **{"X-Request-ID": identity}).headers["X-Request-ID"] == identity
    identities = {through.send("GET", path).headers["X-Request-ID"] for _ in range(3)}
    assert len(identities) == 3
    assert all(uuid.UUID(identity) for identity in identities)


def test_the_log_has_a_requests_id_and_no_query(through: Gateway):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Request-ID": "followed", "traceparent": trace}
    answer = through.send("GET", "/api/v1/contracts?name=%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2", **headers)
    logged = through.logged("followed")
    assert answer.headers["X-Request-ID"] == logged["request_id"]
    assert (logged["path"], logged["status"], logged["route"]) == ("/api/v1/contracts", 401, "api-v1-contracts")
    assert (logged["trace"], logged["client"]) == (trace, "127.0.0.1")
    assert "D0%98" not in json.dumps(logged)


def preflight(gateway: Gateway, origin: str, path: str = "/api/v1/contracts"):
    accepted = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return gateway.send("OPTIONS", path, **accepted).headers


def test_a_listed_site_may_use_the_api(through: Gateway, person: Person):
    allowed = preflight(through, SITE)
    assert allowed["Access-Control-Allow-Origin"] == SITE
    assert {"Authorization", "Idempotency-Key"} <= set(allowed["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in allowed
    answer = through.send("GET", "/api/v1/auth/me", Origin=SITE, **person._headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, SITE)
    assert "Origin" in answer.headers["Vary"]
    refused = through.send("GET", "/api/v1/auth/me", Origin=SITE, Authorization="Bearer x.y.z")
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, SITE)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{SITE}.evil.example", "http://app.example", f"{SITE}:8443"]
)
def test_another_site_may_not(through: Gateway, person: Person, origin: str):
    assert "Access-Control-Allow-Origin" not in preflight(through, origin)
    answer = through.send("GET", "/api/v1/auth/me", Origin=origin, **person._headers)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/admin/", "/sign-in/", "/contracts/new/"])
def test_another_site_may_not_read_pages(through: Gateway, path: str):
    assert "Access-Control-Allow-Origin" not in preflight(through, SITE, path)

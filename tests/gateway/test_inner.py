"""No internal path can be reached in any spelling, and public paths are reached by the table's own routes."""

import os
import socket
import uuid
from http.client import HTTPResponse

import pytest

from apps.core.seam import signing
from landcontracts.gateway.envoy.routes import NOWHERE
from landcontracts.gateway.table import INNER, find
from tests.gateway.envoys import Gateway, problem
from tests.gateway.test_table import PATHS
from tests.journeys.people import Person

SPELLINGS = [
    "/internal/seam/documents/get", "/internal%2Fseam/documents/get", "/internal%2fseam%2fdocuments%2fget",
    "/%69nternal/seam/documents/get", "/%69%6e%74%65%72%6e%61%6c/seam/documents/get", "//internal/seam/documents/get",
    "/internal//seam/documents/get", "///internal/seam/documents/get", "/./internal/seam/documents/get",
    "/api/../internal/seam/documents/get", "/api/v1/../../internal/seam/documents/get",
    "/api/v1/%2e%2e/%2e%2e/internal/seam/documents/get", "/api/v1/.%2e/%2E./internal/seam/documents/get",
    "/api/v1/..%2f..%2finternal/seam/documents/get", "/api/v1/..%5c..%5cinternal/seam/documents/get",
    "/api/v1/%252e%252e/%252e%252e/internal/seam/documents/get", "/internal%252Fseam/documents/get",
    "/api\\..\\internal\\seam\\documents\\get", "\\internal\\seam\\documents\\get", "/static/../internal/seam/documents/get",
    "/api/v1/..;/..;/internal/seam/documents/get", "/internal;x=1/seam/documents/get", "/Internal/Seam/documents/get",
    "/INTERNAL/seam/documents/get", "/internal/seam/documents/get/", "/internal/seam/documents/get?x=/api/v1",
    "/internal/seam/documents/get%00", "/internal/seam/documents/get%23", "/ıntern\u0430l/seam/documents/get",
    "/api/v1/..%c0%af..%c0%afinternal/seam/documents/get", "/.//internal/seam/documents/get",
    "/contracts/..//internal/seam/documents/get", "/api/%2e%2e%2finternal/seam/documents/get",
]  # fmt: skip


def sealed(path: str, body: bytes) -> dict[str, str]:
    """The headers of a call that a service would accept."""
    at, seal = signing.seal(caller="monolith", callee="documents", method="POST", path=path, body=body)
    return {"X-Seam-Caller": "monolith", "X-Seam-Time": at, "X-Seam-Signature": seal}


def raw(url: str, target: str, host: str = "127.0.0.1", *lines: str, method: str = "POST") -> tuple[int, bytes]:
    """One request with its target sent literally: the status; the headers and the body.

    It reads as far as the answer's own length says: Envoy waits a second before it closes.
    """
    body = b"{}"
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", "Connection: close", *lines]
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        headers = "".join(f"{name}: {value}\n" for name, value in answer.getheaders())
        return answer.status, headers.encode("latin-1") + answer.read()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_call_between_services_is_not_reached_from_outside(through: Gateway, spelling: str):
    path = "/internal/seam/documents/get"
    seal = [f"{name}: {value}" for name, value in sealed(path, b"{}").items()]
    status, received = raw(through.url, spelling, "127.0.0.1", *seal)
    assert status in {400, 404}, received
    # Not even to be refused there: its faults say `fault`.
    assert b'"fault"' not in received


def test_the_same_call_is_reached_without_the_gateway(direct: str):
    path = "/internal/seam/documents/get"
    seal = [f"{name}: {value}" for name, value in sealed(path, b"{}").items()]
    for spelling in (path, "/internal%2Fseam/documents/get"):
        status, received = raw(direct, spelling, "127.0.0.1", *seal)
        assert (status, b"not a call" in received or b"not authentic" in received) in {(400, True), (401, True)}, (
            received
        )


@pytest.mark.parametrize("target", ["http://127.0.0.1{}", "http://elsewhere.example{}"])
@pytest.mark.parametrize("path", INNER)
def test_an_absolute_target_is_no_way_round(through: Gateway, target: str, path: str):
    status, received = raw(through.url, target.format(path), method="GET")
    assert status == 404, received


@pytest.mark.parametrize("path", [*INNER, "/metrics/", "/healthz?x", "/readyz/", "/%6detrics", "/METRICS"])
def test_operators_paths_are_not_public(through: Gateway, path: str):
    answer = through.send("GET", path, **{"Accept-Language": "en"})
    assert problem(answer)["code"] == "not_found"
    assert b"seam_" not in answer.data


def test_envoys_own_administration_is_on_loopback_and_not_public(through: Gateway):
    for path in ("/config_dump", "/stats", "/quitquitquit", "/ready"):
        assert through.send("POST", path).status == 404


def test_a_path_segment_is_matched_whole_by_envoy_too(through: Gateway, person: Person):
    assert through.route_of("/api/v1/auth/me") == "api-v1-auth"
    assert through.route_of("/api/v1/authors") == "api"
    assert through.route_of("/apix") == NOWHERE
    assert problem(through.send("GET", "/api/v1/authors", **person._headers))["code"] == "not_found"


def test_envoy_takes_the_tables_route_for_every_path_of_the_platform(through: Gateway):
    identities = {path: uuid.uuid4().hex for path, _ in PATHS}
    for path, identity in identities.items():
        through.send("OPTIONS", path, **{"X-Request-ID": identity})
    for path, identity in identities.items():
        route = find(path)
        assert through.logged(identity)["route"] == (route.label if route else NOWHERE), path


def test_headers_that_only_services_send_do_not_pass(through: Gateway):
    """Neither under their names nor under names that WSGI reads as the same."""
    status, received = raw(through.url, "/api/v1/nothing", "127.0.0.1", "X_Forwarded_For: 1.2.3.4", "X-Seam-Caller: x")
    assert status == 404
    assert os.environ["SEAM_MASTER_SECRETS"].encode() not in received

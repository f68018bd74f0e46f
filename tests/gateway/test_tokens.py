"""Envoy checks tokens by the platform's key set: signature, expiry, issuer, audience. A request without a token is left to the application."""

import json
import os
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.gateway.envoys import Gateway, problem, running, send
from tests.journeys.people import Person
from tests.seam.servers import Behaving

BAD = (
    "none",
    "hs256",
    "other_key",
    "other_audience",
    "other_issuer",
    "expired",
    "without_expiry",
    "cut",
    "unknown_kid",
    "no_token",
)


def forged(person: Person, change: str) -> str:
    good = person._headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    ours = os.environ["JWT_SIGNING_KEY"]
    signed = lambda key=ours, kid=kid, **changed: jwt.encode(
        {name: value for name, value in {**claims, **changed}.items() if value is not None},
        key,
        algorithm="RS256",
        headers={"kid": kid},
    )
    return {
        "none": lambda: jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        "hs256": lambda: jwt.encode(claims, "x" * 64, algorithm="HS256", headers={"kid": kid}),
        "other_key": lambda: signed(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "other_audience": lambda: signed(aud="x"),
        "other_issuer": lambda: signed(iss="x"),
        "expired": lambda: signed(exp=int(time.time()) - 60),
        "without_expiry": lambda: signed(exp=None),
        "cut": lambda: good[:-4],
        "unknown_kid": lambda: signed(kid="x"),
        "no_token": lambda: "x",
    }[change]()


@pytest.mark.parametrize("change", BAD)
def test_a_token_that_is_not_good_does_not_reach_the_platform(through: Gateway, person: Person, change: str):
    headers = {"Authorization": f"Bearer {forged(person, change)}", "X-Request-ID": f"token-{change}"}
    answer = through.send("GET", "/api/v1/auth/me", **headers, **{"Accept-Language": "en"})
    assert problem(answer)["code"] == "authentication_failed"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="landcontracts"')
    logged = through.logged(f"token-{change}")
    assert (logged["upstream"], logged["why"].split("{")[0]) == (None, "jwt_authn_access_denied")


@pytest.mark.parametrize("change", BAD)
def test_the_platform_refuses_the_same_tokens_itself(direct: str, person: Person, change: str):
    """It refuses tokens that Kong lets through: Kong's plugin compares neither issuer nor audience."""
    answer = send(direct, "GET", "/api/v1/auth/me", Authorization=f"Bearer {forged(person, change)}")
    assert problem(answer)["code"] == "authentication_failed"


@pytest.mark.parametrize("prefix", ["Bearer", "bearer", "BEARER", "BeArEr"])
def test_a_good_token_passes_and_reaches_the_platform(through: Gateway, person: Person, prefix: str):
    token = person._headers["Authorization"].removeprefix("Bearer ")
    answer = through.send("GET", "/api/v1/auth/me", Authorization=f"{prefix} {token}")
    assert json.loads(answer.data)["id"] == person.user["id"]
    bad = through.send("GET", "/api/v1/auth/me", Authorization=f"{prefix} {forged(person, 'other_audience')}")
    assert problem(bad)["status"] == 401  # refused by the gateway or by the platform


def test_without_a_token_the_platform_answers(through: Gateway):
    answer = through.send("GET", "/api/v1/contracts", **{"X-Request-ID": "no-token"})
    assert problem(answer)["code"] == "not_authenticated"
    assert through.logged("no-token")["upstream"]


@pytest.mark.parametrize("change", ["expired", "cut", "other_key"])
def test_a_bad_token_does_not_prevent_logging_in(through: Gateway, person: Person, change: str):
    headers = {"Authorization": f"Bearer {forged(person, change)}", "Content-Type": "application/json"}
    body = json.dumps({"email": person.email, "password": person.password}).encode()
    answer = through.send("POST", "/api/v1/auth/login", body, **headers)
    tokens = json.loads(answer.data)
    assert tokens["token_type"] == "bearer"
    refreshed = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
    assert through.send("POST", "/api/v1/auth/refresh", refreshed, **headers).status == 200
    for path in ("/.well-known/jwks.json", "/sign-in/"):
        assert through.send("GET", path, **headers).status == 200, path


def test_keys_that_cannot_be_had_are_no_fault_of_the_token(person: Person):
    """A client discards its token after 401; after 503 it repeats."""

    def behave(connection, number):
        while read := head_of(connection):
            status = b"200 OK" if b"/healthz" in read else b"500 No"
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)

    with Behaving(behave) as server, running(server.url) as gateway:
        answer = gateway.send("GET", "/api/v1/auth/me", **person._headers)
        assert problem(answer)["code"] == "service_unavailable"
        assert answer.headers["Retry-After"] == "1"


def head_of(connection) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return b""
        data += received
    return data

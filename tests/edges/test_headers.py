"""Headers of answers: what may not be stored, what may run on a page, how browsers come back; odd tokens and addresses."""

import re
import secrets
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.checks.registry import registry
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.authentication.models import User
from apps.core.database import base
from apps.core.rest import network, paths
from apps.core.rest.keys import AccessToken
from apps.portal.tests.people import Person
from landcontracts import alone
from tests.journeys.people import Person as Program
from tests.world import PASSWORD


@pytest.fixture(scope="module")
def chief() -> Client:
    client = Client()
    email = f"{secrets.token_hex(6)}@admin.example"
    client.force_login(User.objects.create_superuser(email, PASSWORD, full_name="Админ"))
    return client


def test_tokens_and_private_answers_are_not_stored():
    program = Program()
    client = Client(headers={"authorization": program._headers["Authorization"]})
    for path in ("/api/v1/contracts", "/api/v1/auth/me", "/api/v1/nothing"):
        assert client.get(path)["Cache-Control"] == "no-store"
    body = {"email": program.email, "password": program.password}
    assert client.post("/api/v1/auth/login", body, content_type="application/json")["Cache-Control"] == "no-store"
    assert "no-store" in Person().get("profile")["Cache-Control"]
    assert client.get("/.well-known/jwks.json")["Cache-Control"] == "max-age=300"


def test_browsers_come_back_over_tls_where_there_is_tls(monkeypatch: pytest.MonkeyPatch):
    for path in ("/sign-in/", "/api/v1/contracts", "/admin/login/"):
        assert "Strict-Transport-Security" not in Client().get(path)
        monkeypatch.setattr(settings, "SECURE_COOKIES", True)
        assert Client().get(path)["Strict-Transport-Security"] == "max-age=31536000"
        monkeypatch.setattr(settings, "SECURE_COOKIES", False)


@pytest.mark.parametrize(
    "path", ["/api/v1/docs", "/api/v1/contracts", "/admin/", "/admin/core/flag/", "/admin/extraction/dashboard/"]
)
def test_pages_run_no_script_but_files_of_ours(chief: Client, path: str):
    page = chief.get(path, headers={"accept": "text/html"})
    assert page["Content-Type"].startswith("text/html")
    policy = dict(part.strip().partition(" ")[::2] for part in page["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == ("'self' 'unsafe-eval'" if path.startswith("/admin") else "'self'")
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert not re.search(r"https?:|\*", page["Content-Security-Policy"])
    html = page.content.decode()
    for tag in re.findall(r"<script[^>]*>", html):
        assert "src=" in tag or "application/json" in tag, tag
    assert not re.findall(r"<[^>]+\son[a-z]+=\"", html)
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//(?!testserver)[^\"]+\.(?:js|css)", html)


def test_swaggers_script_is_a_file(chief: Client):
    page = chief.get("/api/v1/docs").content.decode()
    source = re.search(r'<script src="(/api/v1/docs[^"]*)"', page)
    script = chief.get(source[1].replace("&amp;", "&"))
    assert script["Content-Type"].startswith("application/javascript")
    assert b"SwaggerUIBundle" in script.content


@pytest.mark.parametrize(
    "target", ["foo", "//evil.example", "https://evil.example/", "javascript:alert(1)", "\\\\evil", ""]
)
def test_an_odd_next_page_is_the_first_page(target: str):
    person = Person()
    for name in ("portal:sign-in", "portal:register"):
        answer = person.browser.get(reverse(name), {"next": target})
        assert (answer.status_code, answer["Location"]) == (302, "/")


def token_of(**claims: object) -> str:
    token = AccessToken()
    token["sub"], token["roles"] = secrets.token_hex(16), []
    for name, value in claims.items():
        token[name] = value
    return str(token)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**30},
        {"exp": 10**400},
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": [1]},
        {"iat": 10**30},
        {"sub": ["x"]},
        {"sub": None},
        {"sub": 5},
        {"sub": {}},
        {"roles": 5},
        {"nbf": 10**30},
        {"nbf": "x"},
    ],
)
def test_odd_claims_of_our_own_key_are_no_token(claims: dict):
    answer = Client().get("/api/v1/auth/me", headers={"authorization": f"Bearer {token_of(**claims)}"})
    assert answer.status_code == 401, answer.content


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é", "\x00", "x" * 60_000, "e30.e30.e30"])
def test_odd_texts_are_no_token(text: str):
    answer = Client().get("/api/v1/auth/me", headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "client"),
    [
        (0, "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        (0, "::ffff:192.0.2.1", "", "192.0.2.1"),
        (0, "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        (0, "fe80::1%eth0", "", "fe80::/64"),
        (0, "localhost", "", "unknown"),
        (0, "", "", "unknown"),
        (1, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "10.0.0.1", "203.0.113.9", "unknown"),
        (1, "10.0.0.1", "", "unknown"),
        (1, "10.0.0.1", "nonsense", "unknown"),
    ],
)
def test_the_clients_network(monkeypatch: pytest.MonkeyPatch, proxies: int, remote: str, forwarded: str, client: str):
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", proxies)
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)
    assert network.of(request) == client


@pytest.mark.parametrize(
    ("url", "proxies", "warned"), [("https://x", 0, True), ("https://x", 1, False), ("http://x", 0, False)]
)
def test_a_proxy_that_is_not_counted_is_warned_of(settings, url: str, proxies: int, warned: bool):
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES = url, proxies
    assert [message.id for message in network.check_proxies()] == ["rest.W001"] * warned
    assert network.check_proxies in registry.get_checks()


@pytest.mark.parametrize("middleware", [settings.MIDDLEWARE, alone.MIDDLEWARE])
def test_probes_are_answered_at_any_host_name_and_nothing_else_is(settings, middleware: list[str]):
    """Health checks, Prometheus and other services ask a container by its own name."""
    settings.MIDDLEWARE, settings.ALLOWED_HOSTS = middleware, ["land.example"]
    container, public = Client(headers={"host": "web:8001"}), Client(headers={"host": "land.example"})
    for path in ("/healthz", "/readyz"):
        assert (container.get(path).status_code, public.get(path).status_code) == (200, 200)
    assert (container.get("/api/v1/nothing").status_code, public.get("/api/v1/nothing").status_code) == (400, 404)


def test_the_usual_spelling_of_a_path():
    identity = "01A22AF2-7131-73E3-A3AF-50EACC3D2D88"
    assert paths.usual(f"/api/v1/contracts/{identity}/") == f"/api/v1/contracts/{identity.lower()}"
    assert paths.usual(f"/contracts/{identity}/") == f"/contracts/{identity.lower()}/"
    plain = identity.replace("-", "")
    assert paths.usual(f"/api/v1/contracts/{plain}/history") == f"/api/v1/contracts/{identity.lower()}/history"
    assert paths.usual(f"/api/v1/contracts/{plain}0") == f"/api/v1/contracts/{plain}0"
    assert paths.usual(f"/contracts/{plain}/") == f"/contracts/{plain}/"
    assert paths.usual(f"/x{identity}/API/") == f"/x{identity}/API/"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("infinity", False),
        ("-infinity", True),
        ("0044-03-15 BC", True),
        ("12026-01-01", False),
        ("4713-01-01 BC", True),
    ],
)
def test_times_that_python_has_not_are_read(text: str, first: bool):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, %s::date", [text, text])
        moment, day = cursor.fetchone()
    assert moment == (base.FIRST if first else base.LAST)
    assert day == moment.date()
    assert isinstance(moment.astimezone(), datetime)


@pytest.mark.parametrize("text", ["9999-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+00", "9999-12-30 23:00:00+00"])
def test_times_at_the_ends_are_read_so_that_every_zone_has_them(text: str):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        (moment,) = cursor.fetchone()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "Europe/Moscow"):
        assert moment.astimezone(ZoneInfo(zone)) == moment


@pytest.mark.parametrize("text", ["infinity", "-infinity"])
def test_a_time_without_end_is_written_as_it_was_read(text: str):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        (moment,) = cursor.fetchone()
        cursor.execute("SELECT %s = %s::timestamptz, (%s::timestamptz)::text", [moment, text, moment])
        assert cursor.fetchone() == (True, text)


def test_usual_times_are_read_as_they_are():
    with connection.cursor() as cursor:
        cursor.execute("SELECT '2026-02-28 21:00:00.5+00'::timestamptz, '2026-02-28'::date, NULL::date")
        assert cursor.fetchone() == (datetime(2026, 2, 28, 21, 0, 0, 500_000, tzinfo=UTC), date(2026, 2, 28), None)

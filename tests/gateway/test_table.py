"""The table names every public path and no other, and a path never matches by half a segment."""

import re
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core.rest.multipart import OVERHEAD
from landcontracts.gateway import deployment, table
from landcontracts.gateway.table import INNER, ROUTES, Body, Limit, Route, find
from landcontracts.topology import SERVICES

SAMPLES = {"uuid": str(uuid.uuid4()), "slug": "contracts", "str": "x", "path": "x/y", "int": "7"}


def sample(route: str) -> str:
    """A path that a pattern takes."""
    filled = re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES[match[1] or "str"], route)
    return (
        re.sub(r"\(\?P<\w+>\.\*\)|\[[^\]]*\]\+|\(\?P<\w+>[^)]*\)", "x", filled)
        .strip("^")
        .replace("$", "")
        .replace("\\Z", "")
    )


def public(patterns: list | None = None, before: str = "/") -> Iterator[tuple[str, str]]:
    """Every path of the urlconf, with the module of its view."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = before + sample(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from public(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            yield path, entry.callback.__module__


PATHS = sorted(set(public()))


def owner(path: str, module: str) -> str:
    """A path's app, by the urlconf."""
    parts = module.split(".")
    if parts[0] == "apps" and parts[1] in {*SERVICES, "portal"}:
        return parts[1]
    return {"i18n": "portal", "admin": "admin", "api-auth": "admin"}.get(path.split("/")[1], "platform")


def test_there_are_paths_to_compare():
    assert len(PATHS) > 120
    assert ("/api/v1/contracts", "apps.contracts.rest.views") in PATHS


def test_every_path_of_the_platform_is_in_the_table_or_never_public():
    for path, module in PATHS:
        if path in INNER:
            continue
        route = find(path)
        assert route is not None, f"{path} is missing in landcontracts/gateway/table.py"
        assert not route.fallback, f"{path} is matched by nothing but {route.path}"
        assert route.service == owner(path, module), path


def test_an_unlisted_path_is_noticed():
    without = [route for route in ROUTES if route.label != "api-v1-workflows"]
    missed = [path for path, _ in PATHS if path not in INNER and getattr(find(path, without), "fallback", True)]
    assert missed
    assert all("/workflows" in path for path in missed)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.fallback], ids=lambda route: route.label)
def test_every_route_leads_somewhere(route: Route):
    if f"{route.path}/" == settings.STATIC_URL:
        assert any(any(finder.list([])) for finder in get_finders())
        return
    assert any(find(path) is route for path, _ in PATHS), f"{route.path} names what there is not"


@pytest.mark.parametrize("path", INNER)
def test_internal_paths_are_not_in_it(path: str):
    assert find(path) is None
    assert find(f"{path}/seam/documents/get") is None


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/api/v1/auth/login", "api-v1-auth-login"),
        ("/api/v1/auth/login/", "api-v1-auth-login"),
        ("/api/v1/auth/loginx", "api-v1-auth"),
        ("/api/v1/auth", "api-v1-auth"),
        ("/api/v1/authors", "api"),
        ("/api/v1/users/me", "api-v1-users"),
        ("/api/v1/documents/upload", "api-v1-documents-upload"),
        ("/api/v1/documents/uploads", "api-v1-documents"),
        ("/api/v1/documents/x/complete", "api-v1-documents-complete"),
        ("/api/v1/documents/x/y/complete", "api-v1-documents"),
        ("/", "front-page"),
        ("/contracts/x/documents/", "contracts-documents"),
        ("/contracts/x/documents/y/download/", "contracts"),
    ],
)
def test_paths_match_by_whole_segments_and_the_most_particular_wins(path: str, label: str):
    assert find(path).label == label


@pytest.mark.parametrize(
    "path", ["/apix", "/contractsx", "/API/v1/contracts", "//api/v1/contracts", "/x", "/admin.php", ""]
)
def test_a_path_that_resembles_a_public_one_is_not_public(path: str):
    assert find(path) is None


def test_log_in_registration_and_refresh_are_limited_and_never_ask_for_a_token():
    for name in ("login", "register", "refresh", "logout"):
        route = find(f"/api/v1/auth/{name}")
        assert (route.limit, route.checks_token) == (Limit.SIGN_IN, False)
    for path in (
        "/.well-known/jwks.json",
        "/api/v1/schema",
        "/api/v1/docs",
        "/sign-in/",
        "/admin/login/",
        "/register/",
    ):
        assert not find(path).checks_token


def test_a_route_with_an_unclear_path_is_refused():
    for path in ("api", "/API", "/a//b", "/a/", "/a*", "/"):
        with pytest.raises(ValueError):
            Route(path=path, service="platform")


def test_the_defaults_are_the_platforms_own():
    default = deployment.DEFAULT
    tokens = settings.SIMPLE_JWT
    assert (default.issuer, default.audience, default.clock_skew_seconds) == (
        tokens["ISSUER"],
        tokens["AUDIENCE"],
        tokens["LEEWAY"],
    )
    # The application's own limit is the lower one.
    assert default.bodies[Body.FILE] > settings.DOCUMENT_MAX_BYTES + OVERHEAD
    assert default.bodies[Body.SMALL] > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert set(default.limits) == set(Limit)
    table.check()

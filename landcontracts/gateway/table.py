"""The route table: every public path, its owner, and the checks of a gateway before it passes a request on.

A path that is not here is not public. `tests/gateway/test_table.py` compares the table with the urlconf, both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property

import msgspec

from landcontracts.topology import SERVICES

API = "/api"
# Never public: calls between services, and endpoints for the platform's operators.
INNER = ("/internal", "/metrics", "/healthz", "/readyz")


class Limit(StrEnum):
    """Kinds of requests; those of one client and kind are counted together."""

    SIGN_IN = "sign-in"
    API = "api"
    FILES = "files"
    PAGES = "pages"
    NOWHERE = "nowhere"


class Patience(StrEnum):
    """The time that an answer may take, counted from the end of the request."""

    USUAL = "usual"
    LONG = "long"
    STREAM = "stream"  # while bytes flow: a slow reader of a large file is served to the end


class Body(StrEnum):
    """The size that a request's body may have."""

    SMALL = "small"
    FILE = "file"


class Route(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A public path. `{}` stands for one segment.

    It matches by whole segments: itself and, unless `exactly`, everything below. `service` answers: a bounded service,
    or a part of the platform that is never lifted out. `checks_token`: a bearer token is checked if sent; the
    application decides whether one is needed, since a browser has a session instead. `fallback`: the application
    answers that nothing is here.
    """

    path: str
    service: str
    name: str = ""
    exactly: bool = False
    checks_token: bool = False
    fallback: bool = False
    limit: Limit = Limit.PAGES
    patience: Patience = Patience.USUAL
    body: Body = Body.SMALL

    def __post_init__(self) -> None:
        """Refuse a path that would match others than it names. Raises: ValueError."""
        if not re.fullmatch(r"/|(/([a-z0-9._-]+|\{\}))+", self.path):
            raise ValueError(f"{self.path!r} is not a path of lower-case segments")
        if self.path == "/" and not self.exactly:
            raise ValueError("everything below / would be public")

    @cached_property
    def regex(self) -> str:
        """The path as a regular expression over the whole path (the same in RE2 and PCRE)."""
        pattern = re.escape(self.path).replace(r"\{\}", "[^/]+").replace(r"\-", "-")
        if self.path == "/":
            return "/"
        return pattern + ("/?" if self.exactly else "(?:/.*)?")

    @property
    def label(self) -> str:
        """A name for configurations and logs."""
        return self.name or "-".join(part for part in self.path.split("/") if part not in {"", "{}"}) or "front-page"

    @property
    def is_api(self) -> bool:
        """Whether scripts of other origins may be allowed (CORS)."""
        return self.path == API or self.path.startswith(f"{API}/")

    @property
    def rank(self) -> tuple[int, int, bool]:
        """The sort key: more specific routes are tried first."""
        parts = [part for part in self.path.split("/") if part]
        return len(parts), sum(part != "{}" for part in parts), self.exactly

    def matches(self, path: str) -> bool:
        """Whether this route matches a path without its query."""
        return re.fullmatch(self.regex, path) is not None


def _api(service: str, *names: str) -> Iterable[Route]:
    for name in names:
        yield Route(path=f"{API}/v1/{name}", service=service, checks_token=True, limit=Limit.API)


def _entrance(*paths: str, service: str) -> Iterable[Route]:
    """Sign-in routes. A token is not checked, because an expired one must not keep its owner from signing in."""
    for path in paths:
        yield Route(path=path, service=service, limit=Limit.SIGN_IN)


def _lasting(service: str, *paths: str) -> Iterable[Route]:
    """Routes that read, digest or verify a document's bytes, which takes the application long."""
    for path in paths:
        yield Route(
            path=f"{API}/v1/{path}",
            service=service,
            checks_token=True,
            limit=Limit.FILES,
            patience=Patience.LONG,
            exactly=True,
        )


def _pages(service: str, *paths: str) -> Iterable[Route]:
    for path in paths:
        yield Route(path=path, service=service)


def _file_page(path: str, patience: Patience = Patience.LONG, body: Body = Body.SMALL) -> Route:
    return Route(path=path, service="portal", limit=Limit.FILES, patience=patience, body=body, exactly=True)


ROUTES: tuple[Route, ...] = tuple(
    sorted(
        (
            *_entrance(
                *(f"{API}/v1/auth/{name}" for name in ("login", "register", "refresh", "logout")),
                service="authentication",
            ),
            *_api("authentication", "auth", "users"),
            *_api("documents", "documents"),
            *_lasting("documents", "documents/{}/complete"),
            Route(
                path=f"{API}/v1/documents/upload",
                service="documents",
                checks_token=True,
                limit=Limit.FILES,
                patience=Patience.LONG,
                body=Body.FILE,
                exactly=True,
            ),
            *_api("signatures", "signatures", "trust-anchors"),
            *_lasting("signatures", "signatures/sign", "signatures/{}/verify", "revocation-lists"),
            *_api("contracts", "contracts", "land-plots"),
            *_api("workflow", "workflows"),
            *_api("notifications", "notifications"),
            *_api("datasync", "sync"),
            *(
                Route(path=path, service="platform", limit=Limit.API, exactly=True)
                for path in (f"{API}/v1", f"{API}/v1/schema", f"{API}/v1/docs", "/.well-known/jwks.json")
            ),
            Route(path=API, service="platform", limit=Limit.API, fallback=True),
            Route(path="/", service="portal", exactly=True),
            *_entrance("/sign-in", "/register", service="portal"),
            *_pages("portal", "/sign-out", "/profile", "/plots", "/contracts", "/notifications", "/i18n"),
            _file_page("/contracts/{}/documents", body=Body.FILE),
            _file_page("/contracts/{}/documents/{}/sign"),
            _file_page("/contracts/{}/documents/{}/content", Patience.STREAM),
            _file_page("/contracts/{}/signatures/{}/verify"),
            *_pages("admin", "/admin", "/static"),
            *_entrance("/admin/login", service="admin"),
            *_entrance("/api-auth", service="admin"),
        ),
        key=lambda route: (tuple(-int(part) for part in route.rank), route.path),
    )
)
LABELS = tuple(route.label for route in ROUTES)
FACES = ("platform", "portal", "admin")  # parts of the platform that are no services


def find(path: str, routes: Iterable[Route] = ROUTES) -> Route | None:
    """The route of a path, without its query; None where nothing is public."""
    return next((route for route in routes if route.matches(path)), None)


def check() -> None:
    """Check the table for consistency. Raises: ValueError."""
    if len(set(LABELS)) != len(LABELS):
        raise ValueError(f"two routes have one name: {sorted(label for label in LABELS if LABELS.count(label) > 1)}")
    for route in ROUTES:
        if route.service not in {*SERVICES, *FACES}:
            raise ValueError(f"{route.path} belongs to {route.service!r}, which does not exist")
    for path in INNER:
        if any(find(inner) for inner in (path, f"{path}/x")):
            raise ValueError(f"{path} is never public")


check()

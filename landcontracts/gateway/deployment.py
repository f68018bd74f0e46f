"""What differs between installations of a gateway. The committed files are those of `docker-compose.yml`: every default here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from landcontracts.gateway.table import Body, Limit, Patience
from landcontracts.topology import SERVICES

MEGABYTE = 1024 * 1024
K = TypeVar("K", bound=StrEnum)
V = TypeVar("V")


class BadOption(ValueError):
    """An option that does not say what it has to."""


class Endpoint(msgspec.Struct, frozen=True):
    """A host or address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Rate(msgspec.Struct, frozen=True):
    """So many requests of one client in so many seconds; after a pause, all of them at once."""

    requests: int
    seconds: int


# A gateway's bound lies above the application's own, so that the application says in its own words what is too large.
BODIES = {Body.SMALL: 2 * MEGABYTE + 256 * 1024, Body.FILE: 52 * MEGABYTE}
LIMITS = {
    Limit.SIGN_IN: Rate(120, 60),
    Limit.API: Rate(1200, 60),
    Limit.FILES: Rate(240, 60),
    Limit.PAGES: Rate(1200, 60),
    Limit.NOWHERE: Rate(120, 60),
}
PATIENCE = {Patience.USUAL: 30.0, Patience.LONG: 130.0, Patience.STREAM: 0.0}


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One installation. Addresses are as the gateway sees them; seconds and bytes throughout.

    `host` is one of the platform's ALLOWED_HOSTS, for the gateway's own requests to it. `trusted_hops` counts the proxies in front
    of the gateway that add to X-Forwarded-For: none means that the client is whoever connects. `apart` names services that are
    served elsewhere for good. `origins` are the sites whose scripts may use the API.
    """

    listen: Endpoint = Endpoint("0.0.0.0", 8080)  # noqa: S104 - inside a container
    admin: Endpoint = Endpoint("127.0.0.1", 9901)
    upstream: Endpoint = Endpoint("web", 8000)
    host: str = "localhost"
    apart: dict[str, Endpoint] = {}
    origins: tuple[str, ...] = ()
    trusted_hops: int = 0
    issuer: str = "landcontracts"
    audience: str = "landcontracts-api"
    clock_skew_seconds: int = 5
    jwks_seconds: int = 60
    limits: dict[Limit, Rate] = msgspec.field(default_factory=lambda: dict(LIMITS))
    patience: dict[Patience, float] = msgspec.field(default_factory=lambda: dict(PATIENCE))
    bodies: dict[Body, int] = msgspec.field(default_factory=lambda: dict(BODIES))
    idle_seconds: float = 60.0

    def address_of(self, service: str) -> Endpoint:
        """Where a service's public API is served."""
        return self.apart.get(service, self.upstream)


DEFAULT = Deployment()


def endpoint(text: str) -> Endpoint:
    """`http://host:port` or `host:port`. Raises: BadOption."""
    parts = urlsplit(text if "//" in text else f"//{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None or parts.scheme not in {"", "http"} or parts.path.strip("/") or parts.query:
        raise BadOption(f"{text!r} is not http://host:port")
    return Endpoint(parts.hostname, port)


def origin(text: str) -> str:
    """An origin (RFC 6454, section 6.2): scheme, host, and a port that is not the scheme's own. Raises: BadOption."""
    if not re.fullmatch(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", text):
        raise BadOption(f"{text!r} is not an origin such as https://app.example; there is no wildcard")
    return text


def apart(texts: Iterable[str]) -> dict[str, Endpoint]:
    """`service=http://host:port`, each. Raises: BadOption."""
    found = {}
    for text in texts:
        name, _, url = text.partition("=")
        if name not in SERVICES:
            raise BadOption(f"there is no service {name!r}; there are {', '.join(SERVICES)}")
        found[name] = endpoint(url)
    return found


def rate(text: str) -> Rate:
    """`requests/seconds`. Raises: BadOption."""
    found = re.fullmatch(r"([1-9][0-9]{0,7})/([1-9][0-9]{0,4})", text)
    if found is None:
        raise BadOption(f"{text!r} is not requests/seconds, such as 60/60")
    return Rate(int(found[1]), int(found[2]))


def seconds(text: str) -> float:
    """A time. Raises: BadOption."""
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text) or not float(text):
        raise BadOption(f"{text!r} is no number of seconds above zero")
    return float(text)


def size(text: str) -> int:
    """Bytes. Raises: BadOption."""
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        raise BadOption(f"{text!r} is no number of bytes above zero")
    return int(text)


def chosen(kinds: type[K], defaults: dict[K, V], read: Callable[[str], V], texts: Iterable[str]) -> dict[K, V]:
    """The defaults with each `kind=value` in its place. Raises: BadOption."""
    found = dict(defaults)
    for text in texts:
        name, _, value = text.partition("=")
        if name not in set(kinds):
            raise BadOption(f"there is no {name!r}; there are {', '.join(kinds)}")
        found[kinds(name)] = read(value)
    return found


def from_options(given: dict[str, Any]) -> Deployment:
    """A deployment from a command's options; what is not given is the default. Raises: BadOption."""
    single: dict[str, Callable[[str], Any]] = {"listen": endpoint, "admin": endpoint, "upstream": endpoint}
    changed: dict[str, Any] = {name: read(given[name]) for name, read in single.items() if given.get(name)}
    changed |= {name: given[name] for name in ("host", "issuer", "audience", "trusted_hops") if given.get(name)}
    return msgspec.structs.replace(
        DEFAULT,
        **changed,
        apart=apart(given.get("apart") or ()),
        origins=tuple(sorted(set(map(origin, given.get("origin") or ())))),
        limits=chosen(Limit, LIMITS, rate, given.get("limit") or ()),
        patience=chosen(Patience, PATIENCE, seconds, given.get("patience") or ()),
        bodies=chosen(Body, BODIES, size, given.get("body") or ()),
        idle_seconds=seconds(given["idle"]) if given.get("idle") else DEFAULT.idle_seconds,
    )


HELP = MappingProxyType(
    {
        "listen": "where the gateway listens",
        "admin": "where Envoy's own administration listens; loopback only",
        "upstream": "the platform's web server",
        "host": "a name among the platform's ALLOWED_HOSTS, for the gateway's own requests",
        "issuer": "the tokens' issuer, JWT_ISSUER",
        "audience": "the tokens' audience, JWT_AUDIENCE",
    }
)

"""The settings that differ between installations of a gateway. The defaults are those of `docker-compose.yml`."""

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
    """An option with a malformed or unknown value."""


class Endpoint(msgspec.Struct, frozen=True):
    """A host or address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Rate(msgspec.Struct, frozen=True):
    """The number of requests of one client within some seconds; after a pause, all of them at once."""

    requests: int
    seconds: int


# Bytes. A gateway's limit is above the application's, so that the application answers with its own refusal.
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
    """One installation. Addresses are those that the gateway connects to; times are in seconds, sizes in bytes.

    `host` is one of the platform's ALLOWED_HOSTS, for the gateway's own requests to it. `trusted_hops` counts the
    proxies in front of the gateway that add to X-Forwarded-For; with none, the client is the peer of the connection.
    `apart` names the services that are lifted out for good. `origins` are the sites whose scripts may use the API.
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
        """The address of a service's public API."""
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
    """Addresses by service, from texts `service=http://host:port`. Raises: BadOption."""
    addresses = {}
    for text in texts:
        name, _, url = text.partition("=")
        if name not in SERVICES:
            raise BadOption(f"there is no service {name!r}; there are {', '.join(SERVICES)}")
        addresses[name] = endpoint(url)
    return addresses


def rate(text: str) -> Rate:
    """`requests/seconds`. Raises: BadOption."""
    match = re.fullmatch(r"([1-9][0-9]{0,7})/([1-9][0-9]{0,4})", text)
    if match is None:
        raise BadOption(f"{text!r} is not requests/seconds, such as 60/60")
    return Rate(int(match[1]), int(match[2]))


def seconds(text: str) -> float:
    """A number of seconds. Raises: BadOption."""
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text) or not float(text):
        raise BadOption(f"{text!r} is no number of seconds above zero")
    return float(text)


def size(text: str) -> int:
    """A number of bytes. Raises: BadOption."""
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        raise BadOption(f"{text!r} is no number of bytes above zero")
    return int(text)


def chosen(kinds: type[K], defaults: dict[K, V], read: Callable[[str], V], texts: Iterable[str]) -> dict[K, V]:
    """The defaults, overridden by each `kind=value`. Raises: BadOption."""
    values = dict(defaults)
    for text in texts:
        name, _, value = text.partition("=")
        if name not in set(kinds):
            raise BadOption(f"there is no {name!r}; there are {', '.join(kinds)}")
        values[kinds(name)] = read(value)
    return values


def from_options(options: dict[str, Any]) -> Deployment:
    """A deployment from a command's options, with defaults for missing ones. Raises: BadOption."""
    single: dict[str, Callable[[str], Any]] = {"listen": endpoint, "admin": endpoint, "upstream": endpoint}
    changed: dict[str, Any] = {name: read(options[name]) for name, read in single.items() if options.get(name)}
    changed |= {name: options[name] for name in ("host", "issuer", "audience", "trusted_hops") if options.get(name)}
    return msgspec.structs.replace(
        DEFAULT,
        **changed,
        apart=apart(options.get("apart") or ()),
        origins=tuple(sorted(set(map(origin, options.get("origin") or ())))),
        limits=chosen(Limit, LIMITS, rate, options.get("limit") or ()),
        patience=chosen(Patience, PATIENCE, seconds, options.get("patience") or ()),
        bodies=chosen(Body, BODIES, size, options.get("body") or ()),
        idle_seconds=seconds(options["idle"]) if options.get("idle") else DEFAULT.idle_seconds,
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

"""The client's network address, behind a configured number of proxies that add it to `X-Forwarded-For`."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.core import checks
from django.http import HttpRequest

UNKNOWN = "unknown"
IPV6_PREFIX = 64  # one customer's network has at least so many bits (RFC 6177)


def of(request: HttpRequest) -> str:
    """An IPv4 address, or the /64 of an IPv6 address; `unknown` where there is none, as on a unix socket.

    With TRUSTED_PROXIES=n the address is the n-th from the right of `X-Forwarded-For`: what the outermost trusted proxy
    saw. What stands further left is the client's own word.
    """
    proxies: int = settings.TRUSTED_PROXIES
    address = request.META.get("REMOTE_ADDR", "")
    if proxies:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        address = forwarded[-proxies] if len(forwarded) >= proxies else ""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)


def check_proxies(**_: Any) -> list[checks.CheckMessage]:
    """Warn of TLS that a proxy ends, whose address then stands for all clients in the lock-out and in limits."""
    if settings.PUBLIC_URL.startswith("https://") and not settings.TRUSTED_PROXIES:
        return [
            checks.Warning(
                "PUBLIC_URL is https, which a proxy in front answers, and TRUSTED_PROXIES is 0: all clients have its address.",
                hint="Set TRUSTED_PROXIES to the number of proxies that add the client's address to X-Forwarded-For.",
                id="rest.W001",
            )
        ]
    return []

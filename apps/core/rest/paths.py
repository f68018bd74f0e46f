"""The usual spelling of a path: without a last slash under `/api/`, UUIDs in lower case (RFC 9562, section 4)."""

from __future__ import annotations

import re

_UUID = re.compile(r"(?<=/)[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?=/|$)")


def usual(path: str) -> str:
    """The path that the URLs know; one thing has one address, however it was written."""
    if path.startswith("/api/") and path.endswith("/"):
        path = path.rstrip("/")
    return _UUID.sub(lambda found: found[0].lower(), path)

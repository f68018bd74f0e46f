"""The usual spelling of a path: without a last slash under `/api/`, UUIDs in lower case (RFC 9562, section 4).

Under `/api/` they may lack their dashes, as they may in a query and a body.
"""

from __future__ import annotations

import re
from uuid import UUID

_HEX = "[0-9A-Fa-f]"
_UUID = re.compile(rf"(?<=/){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?=/|$)")
_PLAIN = re.compile(rf"(?<=/){_HEX}{{32}}(?=/|$)")


def usual(path: str) -> str:
    """The path that the URLs know; one thing has one address, however it was written."""
    if path.startswith("/api/"):
        path = _PLAIN.sub(lambda found: str(UUID(found[0])), path.rstrip("/"))
    return _UUID.sub(lambda found: found[0].lower(), path)

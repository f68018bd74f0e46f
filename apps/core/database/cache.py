"""How values are stored in the shared cache: as JSON. Django's own form is a pickle, which runs what is written there."""

from __future__ import annotations

from typing import Any

import msgspec


class JsonSerializer:
    """For Django's Redis cache. Integers stay plain, so that the server can count with them."""

    def dumps(self, value: Any) -> bytes | int:
        """The stored form. Raises: TypeError for what JSON cannot hold."""
        return value if type(value) is int else msgspec.json.encode(value)

    def loads(self, stored: bytes) -> Any:
        """The value, or None, as if there were none, for what is no JSON: another writer's, or an older release's."""
        try:
            return msgspec.json.decode(stored)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

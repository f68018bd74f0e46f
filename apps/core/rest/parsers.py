"""Request bodies reach the endpoint as bytes; the endpoint's declared type decodes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser


class RawJson(BaseParser):
    """`application/json`, not parsed here."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body, as bytes."""
        return stream.read()

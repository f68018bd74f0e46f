"""Which form of an answer a client accepts (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """DRF's, in which an empty header says no more than none."""

    def get_accept_list(self, request: Request) -> list[str]:
        """The media types of the header, anything where it lists none."""
        return [token for token in super().get_accept_list(request) if token] or ["*/*"]

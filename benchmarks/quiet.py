"""A service of the benchmarks that reads no database, behind the real endpoint: only the cost of the seam is left.

The server that answers for it is `quiet_wsgi.py`.
"""

from __future__ import annotations

from typing import Protocol

from django.conf import settings

from apps.core import topology
from apps.core.interface.context import CallContext
from apps.core.interface.operations import ServiceKey, query

NAME = "quiet"


class QuietApi(Protocol):
    """The interface: one query."""

    @query
    def say(self, *, ctx: CallContext, text: str) -> str:
        """The same text."""
        ...


class QuietService:
    """The implementation."""

    def say(self, *, ctx: CallContext, text: str) -> str:
        """The same text."""
        return text


QUIET = ServiceKey(NAME, QuietApi)


def register() -> None:
    """Add the service to this process's table."""
    topology.entries()[NAME] = topology.Entry(key=f"{__name__}.QUIET", implementation=f"{__name__}.QuietService")
    if NAME not in settings.SEAM_SERVES:
        settings.SEAM_SERVES = [*settings.SEAM_SERVES, NAME]

"""What is known of a request by its method and path alone: its lane, how long its body may be, who may send it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from landcontracts.server.options import MIB


class Kind(enum.StrEnum):
    """A lane of threads; a metric label."""

    HEALTH = "health"  # liveness, which waits for nothing and no one
    EXPRESS = "express"  # readiness and metrics, which ask others
    USUAL = "usual"
    HEAVY = "heavy"  # known to be expensive: files, signatures, reports
    OPERATOR = "operator"  # all else that is asked at the operator's address
    UNSEALED = "unsealed"  # seam calls in the form of the release before


class Form(enum.StrEnum):
    """The form in which a refusal is written."""

    PROBLEM = "problem"
    FAULT = "fault"  # of the seam
    PAGE = "page"


class Route(NamedTuple):
    """The route of a request. `limit` is of the body, in bytes."""

    kind: Kind = Kind.USUAL
    limit: int = 2 * MIB
    form: Form = Form.PAGE


PROBES = {
    "/healthz": Route(Kind.HEALTH, limit=0, form=Form.PROBLEM),
    **dict.fromkeys(("/readyz", "/metrics"), Route(Kind.EXPRESS, limit=0, form=Form.PROBLEM)),
}


class Policy(Protocol):
    """What the server asks of the application before a body is received."""

    def route(self, method: str, path: str, headers: Mapping[str, str]) -> Route:
        """The route of a request, by its normalised path and its headers in upper case, dashes as underscores."""

    def is_sealed(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether the headers of a seam call are authentic."""

    def person(self, environ: dict[str, Any]) -> str:
        """Who sends a request, by its headers; empty for a stranger. May query the database."""

    def translated(self, headers: Mapping[str, str], text: str) -> str:
        """A sentence in the language that the headers ask for."""


class NoPolicy:
    """The policy for an application of which nothing is known."""

    def route(self, method: str, path: str, headers: Mapping[str, str]) -> Route:
        """One lane for everything but probes."""
        return PROBES.get(path, Route())

    def is_sealed(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """There is no seam."""
        return True

    def person(self, environ: dict[str, Any]) -> str:
        """Everyone is a stranger."""
        return ""

    def translated(self, headers: Mapping[str, str], text: str) -> str:
        """As it is."""
        return text

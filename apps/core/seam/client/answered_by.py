"""Records which process answered for each service during one request, for the `X-Answered-By` header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trail: ContextVar[dict[str, str] | None] = ContextVar("seam_trail", default=None)


@contextmanager
def recorded() -> Iterator[dict[str, str]]:
    """Record for the length of a block."""
    trail: dict[str, str] = {}
    token = _trail.set(trail)
    try:
        yield trail
    finally:
        _trail.reset(token)


def note(service: str, process: str) -> None:
    """Record that a process answered for a service."""
    trail = _trail.get()
    if trail is not None:
        trail[service] = process

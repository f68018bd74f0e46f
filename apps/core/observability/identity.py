"""The identity of the work under way, for every log line: request, trace, span, actor.

One context variable holds one small dictionary, so that beginning and ending cost half a microsecond and nothing
outlives its request. An actor is an opaque id, never a name or an address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from pathlib import Path
from uuid import UUID


class Identity:
    """`fields` go into every log line; `trace` is the traceparent of new work."""

    __slots__ = ("fields", "trace")

    def __init__(self, fields: dict[str, str], trace: str) -> None:
        self.fields = fields
        self.trace = trace


_current: ContextVar[Identity | None] = ContextVar("identity", default=None)


def begin(
    request_id: str, trace: str, actor: UUID | None = None, *, span_id: str = "", **more: str
) -> Token[Identity | None]:
    """Begin this thread's work for a request. Pass the returned token to `end` in a `finally`.

    `trace` is a W3C traceparent; a malformed one is not shown.
    """
    fields = {"request_id": request_id, **more}
    if len(trace) == 55:
        fields["trace_id"] = trace[3:35]
    if span_id:
        fields["span_id"] = span_id
    if actor is not None:
        fields["actor"] = str(actor)
    return _current.set(Identity(fields, trace))


def end(token: Token[Identity | None]) -> None:
    """End the work; the thread's former identity is restored."""
    _current.reset(token)


@contextmanager
def working_for(request_id: str, trace: str, actor: UUID | None = None, **more: str) -> Iterator[None]:
    """`begin` and `end` around a block."""
    token = begin(request_id, trace, actor, **more)
    try:
        yield
    finally:
        _current.reset(token)


def within(trace: str) -> Token[Identity | None]:
    """Continue the same work inside a span of its trace."""
    current = _current.get()
    fields = {} if current is None else current.fields
    return _current.set(Identity({**fields, "trace_id": trace[3:35], "span_id": trace[36:52]}, trace))


def note_actor(actor: UUID | None) -> None:
    """Add the actor, once it is known."""
    current = _current.get()
    if current is not None and actor is not None:
        current.fields["actor"] = str(actor)


def fields() -> dict[str, str]:
    """The log fields of the work under way; empty for none."""
    current = _current.get()
    return {} if current is None else current.fields


def trace() -> str:
    """The traceparent of the work under way; empty for none."""
    current = _current.get()
    return "" if current is None else current.trace


def process_name() -> str:
    """The name of this process's program in lines and spans: `server`, `celery`, `manage.py`."""
    program = Path(sys.argv[0])
    # `python -m` has no name of its own while the package is imported, and the module's path afterwards.
    if program.name in {"-m", "__main__.py"}:
        arguments = sys.orig_argv
        module = arguments[arguments.index("-m") + 1] if "-m" in arguments else program.parent.name
        return module.rpartition(".")[2]
    return program.name or "python"

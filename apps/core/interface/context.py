"""The call context, first argument of every operation: the actor, the identity, the route and the time left."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import time
from uuid import UUID

import msgspec

from apps.core.interface.dto import Dto
from apps.core.observability import identity, spans

DEFAULT_TIMEOUT_MS = 5_000
# Where a person waits for a whole file to be received, read or signed.
PATIENT_TIMEOUT_MS = 60_000


NO_PERSON = UUID(int=0)


class Actor(Dto):
    """The person or system at the beginning of a chain of calls. `id` is None for system work and for strangers."""

    id: UUID | None = None
    roles: tuple[str, ...] = ()

    @property
    def person(self) -> UUID:
        """The person's id for look-ups; where there is no person, an id that no row has."""
        return self.id or NO_PERSON

    def has(self, *roles: str) -> bool:
        """Whether the actor holds one of the roles."""
        return any(role in self.roles for role in roles)


SYSTEM = Actor(roles=("system",))
STRANGER = Actor()


class CallContext(Dto):
    """The context of a call. `expires_at` is in nanoseconds of this process's monotonic clock; the wire has the time
    left.

    `away` lists the services that this call chain reaches remotely, decided once at the edge. `shadow` lists those
    whose other side gets the queries as well, and `unit` is the key of the route's decision; both stay in the process
    that decided, because it compares the sides. `network` is the client's, where the edge knows it: an IPv4 address, or
    the first 64 bits of an IPv6 address.
    """

    actor: Actor
    request_id: str
    trace: str
    locale: str
    expires_at: int
    command_key: str | None = None
    away: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    unit: str = ""
    network: str = ""

    def remaining_ms(self) -> int:
        """Milliseconds until the caller gives up; negative when it already has."""
        return (self.expires_at - time.monotonic_ns()) // 1_000_000

    def step(self, name: str) -> CallContext:
        """The same context with the command key of a nested step, derived from the parent's key and the step's name."""
        if self.command_key is None:
            return self
        key = hashlib.sha256(f"{self.command_key}\0{name}".encode()).hexdigest()[:40]
        return msgspec.structs.replace(self, command_key=key)

    def renewed(self, *, timeout_ms: int) -> CallContext:
        """The same call with a new time limit, after an edge has waited for its client."""
        return msgspec.structs.replace(self, expires_at=time.monotonic_ns() + timeout_ms * 1_000_000)

    def inside(self, trace: str) -> CallContext:
        """The same call, inside a span of its trace."""
        return msgspec.structs.replace(self, trace=trace)

    def as_actor(self, actor: Actor) -> CallContext:
        """The same call on behalf of another actor: a handler that acts for the system."""
        return msgspec.structs.replace(self, actor=actor)


class WireContext(Dto):
    """A `CallContext` on the wire."""

    actor: Actor
    request_id: str
    trace: str
    locale: str
    remaining_ms: int
    command_key: str | None = None
    away: tuple[str, ...] = ()
    network: str = ""


def new_trace() -> str:
    """A W3C traceparent of a new trace (https://www.w3.org/TR/trace-context/)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


# Identities only have to be unique: 128 random bits of the process and a count cost a tenth of fresh random bytes a
# call.
_process = secrets.token_hex(16)
_counter = itertools.count(1)


def _begin_anew() -> None:
    global _process
    _process = secrets.token_hex(16)


os.register_at_fork(after_in_child=_begin_anew)


def new_context(
    *,
    actor: Actor = SYSTEM,
    request_id: str = "",
    trace: str = "",
    locale: str = "ru",
    timeout_ms: int = DEFAULT_TIMEOUT_MS,
    command_key: str | None = None,
    away: tuple[str, ...] = (),
    shadow: tuple[str, ...] = (),
    unit: str = "",
    network: str = "",
) -> CallContext:
    """A context created at an edge: a web request, a task, a command. A missing command key is generated.

    Without a trace the context continues that of the work under way. A generated trace has no span, so it is not
    sampled where traces are recorded.
    """
    count = next(_counter)
    trace = (
        trace
        or identity.trace()
        or f"00-{_process[:16]}{count:016x}-{count:016x}-{'00' if spans.is_tracing() else '01'}"
    )
    return CallContext(
        actor=actor,
        request_id=request_id or f"{_process[:8]}{count:08x}",
        trace=trace,
        locale=locale,
        expires_at=time.monotonic_ns() + timeout_ms * 1_000_000,
        command_key=command_key or f"{_process}{count:x}",
        away=away,
        shadow=shadow,
        unit=unit,
        network=network,
    )


def to_wire(ctx: CallContext, remaining_ms: int) -> WireContext:
    """The context for the next hop, with the time that hop may take."""
    return WireContext(
        actor=ctx.actor,
        request_id=ctx.request_id,
        trace=ctx.trace,
        locale=ctx.locale,
        remaining_ms=remaining_ms,
        command_key=ctx.command_key,
        away=ctx.away,
        network=ctx.network,
    )


def from_wire(wire: WireContext) -> CallContext:
    """The context on the called side."""
    return CallContext(
        actor=wire.actor,
        request_id=wire.request_id,
        trace=wire.trace,
        locale=wire.locale,
        expires_at=time.monotonic_ns() + wire.remaining_ms * 1_000_000,
        command_key=wire.command_key,
        away=wire.away,
        network=wire.network,
    )

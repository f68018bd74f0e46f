"""What a lifted-out service may ask: the operations that its code asks, for whom, and no roles on its word alone.

A service's secrets seal as that service only; this table bounds what such a seal is good for. The monolith, whose
process has the master secret, may ask everything (ADR 0030). A caller of any other name may ask nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from apps.core import topology
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.operations import Operation
from apps.core.seam.signing import MONOLITH

# Roles that only an administrator grants: they are read again here, and seldom.
GRANTED = frozenset({"registrar", "administrator"})
KNOWN_SECONDS = 10.0
MAX_KNOWN = 10_000
RECEIVE = "receive"
Calls = Mapping[str, Mapping[str, Iterable[str]]]
log = structlog.get_logger(__name__)
_known: dict[UUID, tuple[float, frozenset[str]]] = {}
_lock = threading.Lock()


class NotAllowed(Exception):
    """The caller's code does not ask this."""


class _Delivered(msgspec.Struct, frozen=True):
    """The part of a delivery's arguments that says whose event it is."""

    event: _Event


class _Event(msgspec.Struct, frozen=True):
    type: str


def checked(caller: str, operation: Operation, ctx: CallContext, arguments: msgspec.Raw) -> CallContext:
    """The context in which a caller's call is executed: with the roles that its actor has. Raises: NotAllowed."""
    if caller == MONOLITH:
        return ctx
    if caller not in topology.entries():
        raise NotAllowed(f"{caller} is no service")
    if operation.name == RECEIVE:
        _require_own_event(caller, operation, arguments)
    elif operation.name not in _calls().get(caller, {}).get(operation.service, ()):
        raise NotAllowed(f"{caller} does not ask {operation.service}.{operation.name}")
    elif _is_system(ctx) and f"{operation.service}.{operation.name}" not in topology.entries()[caller].as_system:
        raise NotAllowed(f"{caller} does not ask {operation.service}.{operation.name} for the system")
    return _with_own_roles(ctx)


def _require_own_event(caller: str, operation: Operation, arguments: msgspec.Raw) -> None:
    try:
        kind = msgspec.json.decode(arguments, type=_Delivered).event.type
    except msgspec.ValidationError:
        return  # no event at all, which the operation refuses by itself
    if not kind.startswith(f"{caller}.") or operation.service not in topology.consumers_of(kind):
        raise NotAllowed(f"{caller} does not tell {operation.service} of {kind}")


def _is_system(ctx: CallContext) -> bool:
    return ctx.actor.has(*SYSTEM.roles)


def _with_own_roles(ctx: CallContext) -> CallContext:
    claimed = GRANTED.intersection(ctx.actor.roles)
    if not claimed:
        return ctx
    taken = claimed if ctx.actor.id is None else claimed - _roles_of(ctx.actor.id, ctx, claimed)
    roles = tuple(role for role in ctx.actor.roles if role not in taken)
    return ctx.as_actor(msgspec.structs.replace(ctx.actor, roles=roles)) if taken else ctx


def _roles_of(person: UUID, ctx: CallContext, claimed: frozenset[str]) -> frozenset[str]:
    """A person's roles, at most ten seconds old; none where they cannot be read. A role that is new counts at once."""
    known = _known.get(person)
    now = time.monotonic()
    if known is not None and now - known[0] < KNOWN_SECONDS and claimed <= known[1]:
        return known[1]
    try:
        roles = frozenset(_reader()(person, ctx))
    except Exception as error:
        log.warning("roles_not_read", exc_info=error)
        return frozenset()
    with _lock:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[person] = now, roles
    return roles


def forget() -> None:
    """Forget the roles that were read."""
    with _lock:
        _known.clear()


@cache
def _calls() -> Calls:
    calls: Calls = import_string(settings.SEAM_CALLS)
    return calls


@cache
def _reader() -> Callable[[UUID, CallContext], Iterable[str]]:
    reader: Callable[[UUID, CallContext], Iterable[str]] = import_string(settings.SEAM_ROLES)
    return reader

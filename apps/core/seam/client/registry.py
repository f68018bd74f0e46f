"""`call(KEY)`: the caller's end of the seam.

Here: choosing a side from the context's route, the guard against open transactions, metrics. Not here: deciding the
route, which happens once, at the edge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, TypeVar, cast

import msgspec
from django.conf import settings

from apps.core.database import primaries
from apps.core.database.base import open_transactions
from apps.core.flags import snapshot
from apps.core.interface.context import CallContext
from apps.core.interface.errors import SeamCallInTransaction, SeamError
from apps.core.interface.operations import Kind, Operation, ServiceKey
from apps.core.observability import seam_metrics, spans
from apps.core.seam.client import answered_by, call_observer, shadow
from apps.core.seam.client.resilience import Guarded, LocalFallback
from apps.core.seam.client.transports import InProcess, OverHttp, Transport
from apps.core.seam.server import dispatch

P = TypeVar("P")
Resolver = Callable[[str, CallContext], Transport]
_resolver: ContextVar[Resolver | None] = ContextVar("seam_resolver", default=None)


def call(key: ServiceKey[P]) -> P:
    """The service behind a key, local or remote. Its methods raise what its interface declares.

    Raises (from the methods): SeamCallInTransaction; RemoteCallFailed.
    """
    return cast("P", _proxy(key))


@cache
def _proxy(key: ServiceKey[Any]) -> _Proxy:
    return _Proxy(key)


class _Proxy:
    """One callable per operation, created on first use."""

    def __init__(self, key: ServiceKey[Any]) -> None:
        self._key = key

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = self._key.operations.get(name)
        if operation is None:
            raise AttributeError(f"{self._key.name} has no operation {name}")
        bound = partial(_invoke, operation, seam_metrics.Meter(operation.service, operation.name))
        self.__dict__[name] = bound
        return bound


def _invoke(operation: Operation, meter: seam_metrics.Meter, *, ctx: CallContext, **arguments: Any) -> Any:
    refuse_open_transaction(operation)
    started = time.perf_counter()
    resolver = _resolver.get()
    transport = transport_for(operation.service, ctx) if resolver is None else resolver(operation.service, ctx)
    side, outcome = transport.side, "fault"
    result, because = None, ""
    span = spans.of_call(operation.service, operation.name, operation.kind, ctx.trace) if spans.is_tracing() else None
    try:
        sent = operation.encode_arguments(arguments)
        answer = transport.send(operation, ctx if span is None else ctx.inside(span.trace), sent)
        (side, process), because = answer.by or (side, transport.process), answer.because
        answered_by.note(operation.service, process)
        if answer.refusal is not None:
            outcome = answer.refusal.category.value
        else:
            result = operation.decode_result(answer.body) if answer.result is msgspec.UNSET else answer.result
            outcome = "ok"
    finally:
        seconds = time.perf_counter() - started
        meter.observe(side, outcome, seconds)
        if operation.service in snapshot.partly_remote() and ctx.unit:
            command_result = result if operation.kind is Kind.COMMAND else None
            observed = call_observer.ObservedCall(
                operation, ctx.unit, transport.side, side, outcome, seconds, command_result, because
            )
            call_observer.offer(observed)
        if span is not None:
            span.end({"seam.side": side, "seam.outcome": outcome}, error=spans.raised())
    if ctx.shadow and operation.service in ctx.shadow and operation.kind is Kind.QUERY:
        shadow.offer(operation, ctx, sent, answer, side, seconds)
    if answer.refusal is not None:
        raise answer.refusal
    return result


def refuse_open_transaction(operation: Operation) -> None:
    """Refuse a call inside a transaction, which could not include the other side. Raises: SeamCallInTransaction."""
    if aliases := open_transactions():
        raise SeamCallInTransaction(
            f"{operation.service}.{operation.name} was called inside an open transaction on {sorted(aliases)}"
        )


def transport_for(service: str, ctx: CallContext) -> Transport:
    """The side that the context's route names: remote when the route lists the service and its address is configured.

    A service whose data this process may not write has only the remote side, regardless of its flag.
    """
    if has_no_local(service):
        return guarded(service)
    if service in ctx.away and service in settings.SEAM_AWAY:
        return remote(service)
    return local(service)


def has_no_local(service: str) -> bool:
    """Whether the local side cannot answer for a service, because its data left the platform for good."""
    if service in settings.SEAM_OWN_DATA:
        return True
    return primaries.is_movable(service) and service in settings.SEAM_SERVES and not primaries.of(service).writable


@cache
def local(service: str) -> Transport:
    """The local side: in this process where the service's code is loaded, else through the monolith's seam."""
    if service in settings.SEAM_SERVES:
        return InProcess(dispatch.local_binding(service), process=settings.SEAM_PROCESS_NAME)
    if not settings.SEAM_HOME:
        raise SeamError(f"{service} is not loaded here, and SEAM_HOME names no address of the monolith")
    caller = settings.SEAM_PROCESS_NAME
    monolith = OverHttp(settings.SEAM_HOME, caller=caller, process="monolith", side="home", leave_half=False)
    return Guarded(monolith, service, attempts=4, patience_seconds=0.2)


@cache
def guarded(service: str) -> Guarded:
    """The lifted-out process alone, without a local fallback."""
    caller, url = settings.SEAM_PROCESS_NAME, settings.SEAM_AWAY[service]
    if has_no_local(service):
        remote_side = OverHttp(url, caller=caller, process=service, leave_half=False)
        return Guarded(remote_side, service, attempts=4, patience_seconds=0.2)
    return Guarded(OverHttp(url, caller=caller, process=service), service, attempts=2, patience_seconds=0)


@cache
def remote(service: str) -> Transport:
    """The lifted-out process with a local fallback: the platform holds grants on the service's data in its primary."""
    return LocalFallback(guarded(service), local(service))


def side(service: str, name: str) -> Transport:
    """One side of a service alone: local (`home`), or remote (`away`) without a local fallback."""
    return guarded(service) if name == "away" else local(service)


@contextmanager
def routed_by(resolver: Resolver | Mapping[str, Transport]) -> Iterator[None]:
    """For the length of a block, route this thread's calls by the resolver. For tests and drills."""
    chosen: Resolver = resolver if callable(resolver) else lambda service, _ctx: resolver[service]
    token = _resolver.set(chosen)
    try:
        yield
    finally:
        _resolver.reset(token)

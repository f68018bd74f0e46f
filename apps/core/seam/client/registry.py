"""`call(KEY)`: the caller's end of the seam.

Here: choosing a side from the context's route, the guard against open transactions, metrics. Not here: deciding a route,
which happens once at the edge.
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
    """The service behind a key, wherever it runs. Its methods raise what its interface declares.

    Raises (from the methods): SeamCallInTransaction; RemoteCallFailed.
    """
    return cast("P", _proxy(key))


@cache
def _proxy(key: ServiceKey[Any]) -> _Proxy:
    return _Proxy(key)


class _Proxy:
    """Has one callable per operation, made on first use."""

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
            said = result if operation.kind is Kind.COMMAND else None
            seen = call_observer.ObservedCall(
                operation, ctx.unit, transport.side, side, outcome, seconds, said, because
            )
            call_observer.offer(seen)
        if span is not None:
            span.end({"seam.side": side, "seam.outcome": outcome}, error=spans.raised())
    if ctx.shadow and operation.service in ctx.shadow and operation.kind is Kind.QUERY:
        shadow.offer(operation, ctx, sent, answer, side, seconds)
    if answer.refusal is not None:
        raise answer.refusal
    return result


def refuse_open_transaction(operation: Operation) -> None:
    """Raise SeamCallInTransaction when this thread is inside a transaction: the other side could not be part of it."""
    if aliases := open_transactions():
        raise SeamCallInTransaction(
            f"{operation.service}.{operation.name} was called inside an open transaction on {sorted(aliases)}"
        )


def transport_for(service: str, ctx: CallContext) -> Transport:
    """The side that the context's route names: away when it lists the service and an address is known.

    A service with data of its own, to which this process has no right to write, has one side only, whatever a flag says.
    """
    if has_no_local(service):
        return guarded(service)
    if service in ctx.away and service in settings.SEAM_AWAY:
        return remote(service)
    return local(service)


def has_no_local(service: str) -> bool:
    """Whether home cannot answer for a service: its data are elsewhere for good."""
    if service in settings.SEAM_OWN_DATA:
        return True
    return primaries.is_movable(service) and service in settings.SEAM_SERVES and not primaries.of(service).writable


@cache
def local(service: str) -> Transport:
    """In this process where the service's code is loaded, else the monolith's seam."""
    if service in settings.SEAM_SERVES:
        return InProcess(dispatch.local_binding(service), process=settings.SEAM_PROCESS_NAME)
    if not settings.SEAM_HOME:
        raise SeamError(f"{service} is not loaded here, and SEAM_HOME does not say where home is")
    caller = settings.SEAM_PROCESS_NAME
    there = OverHttp(settings.SEAM_HOME, caller=caller, process="monolith", side="home", leave_half=False)
    return Guarded(there, service, attempts=4, patience_seconds=0.2)


@cache
def guarded(service: str) -> Guarded:
    """The lifted-out process alone, without home behind it."""
    caller, url = settings.SEAM_PROCESS_NAME, settings.SEAM_AWAY[service]
    if has_no_local(service):
        there = OverHttp(url, caller=caller, process=service, leave_half=False)
        return Guarded(there, service, attempts=4, patience_seconds=0.2)
    return Guarded(OverHttp(url, caller=caller, process=service), service, attempts=2, patience_seconds=0)


@cache
def remote(service: str) -> Transport:
    """The lifted-out process, with home to answer when it does not: home holds grants on its data, wherever they are."""
    return LocalFallback(guarded(service), local(service))


def side(service: str, name: str) -> Transport:
    """One side of a service alone: `home`, or `away` without home behind it."""
    return guarded(service) if name == "away" else local(service)


@contextmanager
def routed_by(resolver: Resolver | Mapping[str, Transport]) -> Iterator[None]:
    """For the time of a block, calls of this thread go where the resolver says. For tests and drills."""
    chosen: Resolver = resolver if callable(resolver) else lambda service, _ctx: resolver[service]
    token = _resolver.set(chosen)
    try:
        yield
    finally:
        _resolver.reset(token)

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

from apps.core.database.base import open_transactions
from apps.core.seam import metrics, topology, trail
from apps.core.seam.context import CallContext
from apps.core.seam.errors import RemoteCallFailed, SeamCallInTransaction
from apps.core.seam.service import Operation, ServiceKey
from apps.core.seam.transports import InProcess, OverHttp, Transport

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
        bound = partial(_invoke, operation, metrics.Meter(operation.service, operation.name))
        self.__dict__[name] = bound
        return bound


def _invoke(operation: Operation, meter: metrics.Meter, *, ctx: CallContext, **arguments: Any) -> Any:
    refuse_open_transaction(operation)
    started = time.perf_counter()
    resolver = _resolver.get()
    transport = transport_for(operation.service, ctx) if resolver is None else resolver(operation.service, ctx)
    trail.note(operation.service, transport.process)
    outcome = "fault"
    try:
        answer = transport.send(operation, ctx, operation.encode_arguments(arguments))
        if answer.refusal is not None:
            outcome = answer.refusal.category.value
            raise answer.refusal
        result = _decode(operation, answer.body)
        outcome = "ok"
        return result
    finally:
        meter.observe(transport.side, outcome, time.perf_counter() - started)


def _decode(operation: Operation, body: bytes) -> Any:
    try:
        return operation.decode_result(body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise RemoteCallFailed(f"an answer of another shape: {error}", may_have_executed=True) from error


def refuse_open_transaction(operation: Operation) -> None:
    """Raise SeamCallInTransaction when this thread is inside a transaction: the other side could not be part of it."""
    if aliases := open_transactions():
        raise SeamCallInTransaction(
            f"{operation.service}.{operation.name} was called inside an open transaction on {sorted(aliases)}"
        )


def transport_for(service: str, ctx: CallContext) -> Transport:
    """The side that the context's route names: away when it lists the service and an address is known."""
    if service in ctx.away and service in settings.SEAM_AWAY:
        return away(service, settings.SEAM_AWAY[service])
    return home(service)


@cache
def home(service: str) -> Transport:
    """In this process."""
    return InProcess(topology.local_binding(service), process=settings.SEAM_PROCESS_NAME)


@cache
def away(service: str, url: str) -> Transport:
    """The lifted-out process."""
    return OverHttp(url, caller=settings.SEAM_PROCESS_NAME)


@contextmanager
def routed_by(resolver: Resolver | Mapping[str, Transport]) -> Iterator[None]:
    """For the time of a block, calls of this thread go where the resolver says. For tests and drills."""
    chosen: Resolver = resolver if callable(resolver) else lambda service, _ctx: resolver[service]
    token = _resolver.set(chosen)
    try:
        yield
    finally:
        _resolver.reset(token)

"""Dispatches calls to a service's implementation in this process, bound to its database."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils.module_loading import import_string

from apps.core import topology
from apps.core.database import primaries, replicas
from apps.core.interface import errors
from apps.core.interface.context import CallContext
from apps.core.interface.operations import Kind, Operation, ServiceKey
from apps.core.seam.answer import Answer
from apps.core.seam.server import commands, retries
from apps.core.seam.server.commands import CommandLog

MAX_QUERIES = 3


class Binding:
    """Runs operations of one service in this process. In-process calls and the HTTP endpoint both use `execute`."""

    def __init__(self, key: ServiceKey[Any], implementation: Any, command_log: CommandLog | None) -> None:
        self.key = key
        self.implementation = implementation
        self.command_log = command_log
        self._methods: dict[str, Callable[..., Any]] = {
            name: getattr(implementation, name) for name in key.operations if hasattr(implementation, name)
        }

    def execute(self, operation: Operation, ctx: CallContext, arguments: bytes | msgspec.Raw) -> Answer:
        """Decode, run, encode. A refusal is an answer; any other exception is a fault and propagates."""
        try:
            decoded = operation.decode_arguments(arguments)
            method = self._methods[operation.name]
            if operation.kind is Kind.QUERY:
                return Answer(operation.encode_result(self._query(operation, method, ctx, decoded)))
            if self.command_log is None:  # a fake keeps its own memory of keys
                return Answer(operation.encode_result(method(ctx=ctx, **decoded)))
            return Answer(commands.run_command(self.command_log, operation, method, ctx, decoded))
        except errors.DomainError as refusal:
            return Answer(errors.to_wire(refusal), refusal)
        except OSError as error:
            if not errors.is_no_space(error):
                raise
            return Answer(errors.to_wire(errors.ServiceBusy()), errors.ServiceBusy())

    def _query(
        self, operation: Operation, method: Callable[..., Any], ctx: CallContext, arguments: dict[str, Any]
    ) -> Any:
        """Run a query; a query that the database ended is repeated as a whole."""
        if self.command_log is None:
            return method(ctx=ctx, **arguments)
        if operation.may_lag and settings.REPLICA_URLS:
            replica = replicas.pick(self.command_log.alias, ctx.actor.id)
            if replica is not None:
                try:
                    with primaries.fixed(self.command_log.label, primaries.Primary(replica, writable=False)):
                        return method(ctx=ctx, **arguments)
                except DatabaseError:  # for any error of the replica, the primary answers
                    replicas.leave_out(replica)
                    retries.discard_broken(replica)
        for attempt in range(1, MAX_QUERIES + 1):
            with primaries.fixed(self.command_log.label) as primary:
                try:
                    return method(ctx=ctx, **arguments)
                except DatabaseError as error:
                    is_last = attempt == MAX_QUERIES or ctx.remaining_ms() <= 0
                    if not retries.may_retry(error, self.command_log.label, primary, ctx, is_last=is_last) or is_last:
                        raise
        raise errors.ServiceBusy


@cache
def local_binding(service: str) -> Binding:
    """The binding of a service's implementation in this process, created once."""
    implementation = import_string(topology.entries()[service].implementation)()
    return Binding(topology.key_of(service), implementation, CommandLog(service, topology.consumers_of))

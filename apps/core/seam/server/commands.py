"""Runs each command in one transaction, once per key (invariant 4, docs/invariants.md).

Here: claiming a key, replaying its answer, storing answer and events in the transaction of their effect, repeating a
command that the database ended. Not here: delivering events, or which side serves a call.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections, transaction

from apps.core.database import primaries, replicas
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.errors import CommandKeyReused, CommandNotFinished, InvalidArguments, SeamError, ServiceBusy
from apps.core.interface.events import Event
from apps.core.interface.operations import Operation
from apps.core.observability import spans
from apps.core.seam.server import notifier, retries

T = TypeVar("T")
MAX_ATTEMPTS = 5


class _Claimed(Exception):
    """Another delivery held the key and has committed."""


class Rehydrate:
    """Rebuilds an answer that holds secrets from its stored record. Set by `answers_from`."""

    def __init__(self, stored_type: Any, make: Callable[[Any], Any]) -> None:
        self.decode = msgspec.json.Decoder(stored_type).decode
        self.make = make


def answers_from(stored_type: Any, make: Callable[[Any], Any]) -> Callable[[T], T]:
    """Mark a method whose stored record is not its answer: `make(record)` gives the answer, at first and on replay."""

    def mark(method: T) -> T:
        method.rehydrate = Rehydrate(stored_type, make)  # type: ignore[attr-defined]  # read by `run_command` only
        return method

    return mark


class CommandLog:
    """The command and outbox tables of one app, by plain SQL: two statements around the effect."""

    def __init__(self, label: str, consumers_of: Callable[[str], tuple[str, ...]]) -> None:
        self.label = label
        self.consumers_of = consumers_of
        self.commands = f"{label}_command"
        self.outbox = f"{label}_outbox"

    @property
    def alias(self) -> str:
        """The primary of the app's data, the same for the length of a command."""
        return primaries.database_of(self.label)

    def find(self, record_id: uuid.UUID) -> tuple[bytes, bytes | None] | None:
        """The digest of the arguments and the stored answer under a key, if any."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"SELECT arguments_digest, answer FROM {self.commands} WHERE id = %s", [record_id])
            row = cursor.fetchone()
        if row is None:
            return None
        digest, answer = row
        return bytes(digest), None if answer is None else bytes(answer)

    def claim(self, record_id: uuid.UUID, operation: Operation, ctx: CallContext, digest: bytes) -> None:
        """Insert the key, waiting for a delivery that holds it.

        Raises: _Claimed when that delivery committed first.
        """
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {self.commands} (id, method, actor_id, key, arguments_digest)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [record_id, operation.name, ctx.actor.id, ctx.command_key, digest],
            )
            if cursor.rowcount == 0:
                raise _Claimed

    def store(self, record_id: uuid.UUID, answer: bytes, ctx: CallContext, events: list[Emitted]) -> None:
        """Write the answer and every event, in one statement."""
        parameters: list[Any] = []
        inserted = ""
        sent: list[spans.Recording] = []
        if rows := [(emitted, consumer) for emitted in events for consumer in self.consumers_of(emitted.event.TYPE)]:
            ahead: dict[tuple[uuid.UUID, str], int] = {}
            values = []
            for emitted, consumer in rows:
                offset = ahead[emitted.aggregate_id, consumer] = ahead.get((emitted.aggregate_id, consumer), 0) + 1
                values.append(
                    "(%s::uuid, %s::uuid, %s, %s, %s::uuid, (SELECT coalesce(max(sequence), 0) FROM "
                    f"{self.outbox} WHERE aggregate_id = %s::uuid AND consumer = %s) + %s, %s::bytea, %s::uuid, %s, %s)"
                )
                parameters += [new_id(), emitted.id, consumer, emitted.event.TYPE, emitted.aggregate_id]
                parameters += [emitted.aggregate_id, consumer, offset, emitted.payload, ctx.actor.id]
                trace = ctx.trace
                if span := spans.of_event(emitted, consumer, trace):
                    sent.append(span)
                    trace = span.trace
                parameters += [ctx.request_id, trace]
            inserted = (
                f"WITH emitted AS (INSERT INTO {self.outbox} (id, event_id, consumer, type, aggregate_id, sequence, "
                f"payload, actor_id, request_id, trace) VALUES {', '.join(values)}) "
            )
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                f"{inserted}UPDATE {self.commands} SET answer = %s WHERE id = %s", [*parameters, answer, record_id]
            )
        if rows:
            transaction.on_commit(partial(self._committed, sent), using=self.alias)

    def _committed(self, sent: list[spans.Recording]) -> None:
        notifier.notify(self.label)
        for span in sent:  # an event that was rolled back was never sent, and its span never ends
            span.end({})


class Emitted:
    """An event to be written to the outbox."""

    def __init__(self, event: Event, aggregate_id: uuid.UUID) -> None:
        self.id = new_id()
        self.type = event.TYPE
        self.event = event
        self.aggregate_id = aggregate_id
        self.payload = msgspec.json.encode(event)


class Work:
    """The state of a command between the claim and the commit."""

    def __init__(self, command_log: CommandLog, operation: Operation, ctx: CallContext, digest: bytes) -> None:
        self._command_log = command_log
        self._operation = operation
        self._ctx = ctx
        self._digest = digest
        self.record_id = record_id(operation, ctx)
        self.alias = command_log.alias
        self.events: list[Emitted] = []
        self.record: bytes | None = None

    def claim(self) -> None:
        self._command_log.claim(self.record_id, self._operation, self._ctx, self._digest)

    def emit(self, event: Event, *, aggregate_id: uuid.UUID) -> None:
        """Put an event into the outbox. The caller holds the aggregate's row lock, which orders its sequence."""
        self.events.append(Emitted(event, aggregate_id))

    def finish(self, answer: T) -> T:
        """Store the answer with the events and return it. The last step of a command."""
        self.record = msgspec.json.encode(answer)
        self._command_log.store(self.record_id, self.record, self._ctx, self.events)
        return answer


_current: ContextVar[Work | None] = ContextVar("seam_work", default=None)


def record_id(operation: Operation, ctx: CallContext) -> uuid.UUID:
    """The primary key of a command."""
    return id_of(operation.name, ctx.actor.id, ctx.command_key)


def id_of(method: str, actor: uuid.UUID | None, key: str | None) -> uuid.UUID:
    """The primary key of a command: the first 16 bytes of SHA-256 over method, actor and key."""
    return uuid.UUID(bytes=hashlib.sha256(f"{method}\0{actor}\0{key}".encode()).digest()[:16])


@contextlib.contextmanager
def command(ctx: CallContext) -> Iterator[Work]:
    """The transaction of the command under way: the key is claimed first, and everything inside commits with it.

    Raises: SeamError outside a command, or when it is entered twice.
    """
    work = _current.get()
    if work is None or work.record is not None:
        raise SeamError("command(ctx) is entered once, inside a method marked @command and called through the seam")
    if ctx.command_key is None:
        raise SeamError("a command has a key")
    with transaction.atomic(using=work.alias):
        work.claim()
        yield work
        if work.record is None:
            raise CommandNotFinished("a command ends with work.finish(answer)")


def run_command(
    command_log: CommandLog,
    operation: Operation,
    method: Callable[..., Any],
    ctx: CallContext,
    arguments: dict[str, Any],
) -> bytes:
    """Run a command, or replay the answer that is stored under its key.

    Raises: the command's own refusals; CommandKeyReused; ServiceBusy when the database ended every attempt.
    """
    if ctx.command_key is None:
        raise InvalidArguments(problem="a command has a command_key in its context")
    # Keyed, because arguments may hold a password and a plain digest of one can be guessed offline.
    digest = hmac.digest(settings.COMMAND_DIGEST_SECRET.encode(), operation.digest_material(arguments), "sha256")
    rehydrate: Rehydrate | None = getattr(method, "rehydrate", None)
    key = record_id(operation, ctx)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        with primaries.fixed(command_log.label) as primary:
            try:
                if (stored := command_log.find(key)) is not None:
                    return _replay(operation, rehydrate, digest, *stored)
                answer = _attempt(command_log, operation, method, ctx, arguments, digest)
                replicas.record_write(primary.alias, ctx.actor.id)
                return answer
            except _Claimed:
                continue
            except DatabaseError as error:
                is_last = attempt == MAX_ATTEMPTS or ctx.remaining_ms() <= 0
                if not retries.may_retry(error, command_log.label, primary, ctx, is_last=is_last):
                    raise
                if is_last:
                    raise ServiceBusy from error
    raise ServiceBusy


def _attempt(
    command_log: CommandLog,
    operation: Operation,
    method: Callable[..., Any],
    ctx: CallContext,
    arguments: dict[str, Any],
    digest: bytes,
) -> bytes:
    work = Work(command_log, operation, ctx, digest)
    token = _current.set(work)
    try:
        answer = method(ctx=ctx, **arguments)
    finally:
        _current.reset(token)
    if work.record is None:
        raise CommandNotFinished(f"{operation.service}.{operation.name} returned without work.finish(answer)")
    return operation.encode_result(answer)


def _replay(
    operation: Operation, rehydrate: Rehydrate | None, digest: bytes, stored: bytes, answer: bytes | None
) -> bytes:
    if stored != digest:
        raise CommandKeyReused
    if answer is None:
        raise SeamError("a committed command has an answer")
    if rehydrate is None:
        return answer
    return operation.encode_result(rehydrate.make(rehydrate.decode(answer)))

"""Guards calls to a remote side: circuit breaker, bulkhead, retry, and the local fallback when all attempts fail.

Here: when to send again, when not to send, which side answers instead. Not here: how bytes travel (`transports.py`).
"""

from __future__ import annotations

import random
import time
from functools import cache
from queue import Empty, SimpleQueue

import structlog
from django.conf import settings

from apps.core.interface.context import CallContext
from apps.core.interface.errors import FailureKind, RemoteCallFailed, ServiceBusy
from apps.core.interface.operations import COMMAND_TIMEOUT_MS, Kind, Operation
from apps.core.observability import seam_metrics
from apps.core.seam.answer import Answer
from apps.core.seam.client.breaker import Admission, Breaker
from apps.core.seam.client.transports import OverHttp, Transport

TRIAL_MS = 300
JITTER_SECONDS = 0.02
# A failure that took longer than this fraction of the time allowed is not retried: the other side is slow, not gone.
QUICK = 0.25
log = structlog.get_logger(__name__)


class Bulkhead:
    """Bounds the calls under way by a queue of tokens: the standard library's semaphore is ten times slower."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def take(self, patience_seconds: float) -> bool:
        """Whether a token was free, at once or within `patience_seconds`."""
        try:
            self._free.get_nowait()
        except Empty:
            if not patience_seconds:
                return False
            try:
                self._free.get(timeout=patience_seconds)
            except Empty:
                return False
        return True

    def give_back(self) -> None:
        """Return the token of a finished call."""
        self._free.put(None)


@cache
def _process_bulkhead() -> Bulkhead:
    """The bulkhead of all remote calls that this process has under way, to any service."""
    return Bulkhead(settings.SEAM_MAX_IN_FLIGHT_IN_ALL)


class Guarded:
    """A remote side behind a breaker, a bulkhead and a bounded retry.

    Calls to a lifted-out process have a local fallback, so they are retried little and leave half of the time; calls to
    the monolith have none, so they are retried more.
    """

    def __init__(self, inner: OverHttp, service: str, *, attempts: int, patience_seconds: float) -> None:
        self._inner = inner
        self._service = service
        self._attempts = attempts
        self._patience = patience_seconds
        self.side = inner.side
        self.process = inner.process
        self.breaker = Breaker(service if inner.side == "away" else f"home of {service}")
        # Some threads must never wait for other services, else a service that calls back would find none free.
        self._own = Bulkhead(settings.SEAM_MAX_IN_FLIGHT)
        self._shared = _process_bulkhead()

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        """The answer, after one attempt or several.

        Raises: RemoteCallFailed; ServiceBusy when the caller's time ends before anything was sent.
        """
        may_have_executed = False
        for attempt in range(1, self._attempts + 1):
            started = time.monotonic()
            try:
                return self._once(operation, ctx, arguments)
            except RemoteCallFailed as failure:
                may_have_executed = may_have_executed or failure.may_have_executed
                seam_metrics.remote_failures.labels(self._service, operation.name, failure.kind).inc()
                spent_ms = (time.monotonic() - started) * 1000
                allowed_ms = self._inner.allowed_ms(operation, ctx) + spent_ms
                if attempt == self._attempts or not _is_worth_another(operation, ctx, failure, spent_ms, allowed_ms):
                    failure.may_have_executed = may_have_executed
                    raise
            seam_metrics.retries.labels(self._service, operation.name).inc()
            time.sleep(random.uniform(0.1, 1) * JITTER_SECONDS * 2**attempt)
        raise ServiceBusy

    def _once(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        if not self._own.take(self._patience):
            raise _full()
        try:
            if not self._shared.take(self._patience):
                raise _full()
            try:
                return self._admitted(operation, ctx, arguments)
            finally:
                self._shared.give_back()
        finally:
            self._own.give_back()

    def _admitted(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        allowed_ms = self._inner.allowed_ms(operation, ctx)  # what is left after waiting for a token
        if allowed_ms <= 0:
            raise ServiceBusy
        # An operation that may take long is no test of whether the other side answers.
        is_long = operation.timeout_ms > COMMAND_TIMEOUT_MS
        admission = Admission.NONE if is_long and self.breaker.is_open else self.breaker.admits()
        if admission is Admission.NONE:
            raise RemoteCallFailed("the circuit breaker is open", may_have_executed=False, kind=FailureKind.OPEN)
        if admission is Admission.TRIAL:
            allowed_ms = min(allowed_ms, TRIAL_MS)
        try:
            answer = self._inner.exchange(operation, ctx, arguments, allowed_ms)
        except RemoteCallFailed as failure:
            # A fault concerns one call; it came quickly, and the next call may succeed.
            if failure.kind is not FailureKind.FAULT:
                self.breaker.failed(was=admission)
            raise
        self.breaker.succeeded()
        return answer


def _full() -> RemoteCallFailed:
    return RemoteCallFailed("too many calls are under way", may_have_executed=False, kind=FailureKind.FULL)


def _is_worth_another(
    operation: Operation, ctx: CallContext, failure: RemoteCallFailed, spent_ms: float, allowed_ms: float
) -> bool:
    """Whether the same call may be sent again: it is a query or has a key, and it failed quickly."""
    if failure.kind in {FailureKind.OPEN, FailureKind.FULL, FailureKind.TIMEOUT, FailureKind.FAULT}:
        return False
    safe = operation.kind is Kind.QUERY or ctx.command_key is not None or not failure.may_have_executed
    return safe and spent_ms < allowed_ms * QUICK


class LocalFallback:
    """Sends to the remote side; when that fails, the local side gets the same query, or the same command and key.

    Allowed while the platform holds the grants on the service's data; a command then runs exactly once, on either side.
    """

    side = "away"

    def __init__(self, remote: Guarded, local: Transport) -> None:
        self._remote = remote
        self._local = local
        self.process = remote.process

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        """The remote side's answer, else the local one's.

        A remote side that is busy has failed as well: it refuses what the local side may have the time for.
        Raises: RemoteCallFailed when both sides fail; ServiceBusy when the caller's time is over.
        """
        try:
            answer = self._remote.send(operation, ctx, arguments)
            if not isinstance(answer.refusal, ServiceBusy):
                return answer
            kind, reason = FailureKind.BUSY, answer.refusal.message
        except RemoteCallFailed as failure:
            kind, reason = failure.kind, str(failure)
        seam_metrics.fallbacks.labels(operation.service, operation.name, kind).inc()
        log.info("answered_at_home", app=operation.service, method=operation.name, because=reason)
        answer = self._local.send(operation, ctx, arguments)
        by = (self._local.side, self._local.process)
        return Answer(answer.body, answer.refusal, answer.result, by, kind.value)

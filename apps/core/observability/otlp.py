"""OpenTelemetry's SDK behind `spans`: OTLP over HTTP, off the caller's path, from a bounded queue.

OpenTelemetry's own variables configure it
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): endpoint, headers, timeout,
sampler, batch. The first span loads the SDK and starts its thread, so a process without spans pays nothing, and no
thread exists before a server has forked its workers.
"""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.conf import settings
from prometheus_client import Counter

from apps.core.observability import identity, spans
from apps.core.observability.spans import Kind, Value

FLUSH_SECONDS = 3.0
QUEUE = 2048
dropped = Counter("trace_spans_dropped_total", "Spans that were not exported", ("reason",))
exported = Counter("trace_spans_exported_total", "Spans that a collector has taken")
log = structlog.get_logger(__name__)


_last_export_ok = True


def last_export_succeeded() -> bool:
    """Whether the collector accepted the last batch of spans; true before the first."""
    return _last_export_ok


class Exporting:
    """`spans.Tracer` on the SDK. A failed start is logged once, and then nothing is traced."""

    def __init__(self) -> None:
        self._sdk: _Sdk | None = None
        self._lock = threading.Lock()

    def begin(self, name: str, kind: Kind, parent: str, attributes: Mapping[str, Value]) -> spans.Recording | None:
        """A span. Never raises, and waits only for the import at the first span."""
        sdk = self._sdk or self._start()
        return None if sdk is None else sdk.begin(name, kind, parent, attributes)

    def chooses(self, name: str) -> bool:
        """The configured sampler's decision, on a trace id that no caller has chosen."""
        sdk = self._sdk or self._start()
        return sdk is not None and sdk.chooses(name)

    def flush(self) -> None:
        """Export the waiting spans within `FLUSH_SECONDS`; later spans are not accepted."""
        sdk = self._sdk
        if sdk is None:
            return
        # The SDK itself would wait half a minute for a collector that does not answer.
        ending = threading.Thread(target=sdk.provider.shutdown, name="spans-flush", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)

    def _start(self) -> _Sdk | None:
        with self._lock:
            if self._sdk is None:
                try:
                    self._sdk = _Sdk()
                except Exception as error:  # noqa: BLE001 - a wrong setting of tracing must not fail a request
                    log.error("tracing_not_started", error=type(error).__name__)
                    spans.trace_with(None)
            return self._sdk


class _Recording:
    __slots__ = ("_span", "trace")

    def __init__(self, span: Any) -> None:
        self._span = span
        ids = span.get_span_context()
        self.trace = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-01"

    def end(self, attributes: Mapping[str, Value], *, error: str = "", name: str = "") -> None:
        if name:
            self._span.update_name(name)
        if attributes:
            self._span.set_attributes(attributes)
        if error:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Sdk:
    def __init__(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace import SpanKind

        resource = Resource.create(
            {
                "service.namespace": "landcontracts",
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or settings.SEAM_PROCESS_NAME,
                # Web server and workers of one service share its name; this id distinguishes them.
                "service.instance.id": f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}",
                "process.command": identity.process_name(),
            }
        )
        # The sampler decides only where a trace begins; after that the trace's own flag is honoured, with any sampler.
        self._sampler: Any = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
        self.provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(_processor())
        self._tracer = self.provider.get_tracer("landcontracts")
        self._kinds = {kind: SpanKind[kind.name] for kind in Kind}

    def begin(self, name: str, kind: Kind, parent: str, attributes: Mapping[str, Value]) -> _Recording | None:
        from opentelemetry.context import Context

        span = self._tracer.start_span(
            name,
            context=_remote(parent) if parent else Context(),
            kind=self._kinds[kind],
            attributes=attributes,
            record_exception=False,
        )
        return _Recording(span) if span.is_recording() else None

    def chooses(self, name: str) -> bool:
        return bool(self._sampler.should_sample(None, secrets.randbits(128), name).decision.is_sampled())


def _remote(parent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    parent_ids = SpanContext(int(parent[3:35], 16), int(parent[36:52], 16), is_remote=True, trace_flags=TraceFlags(1))
    return set_span_in_context(NonRecordingSpan(parent_ids), Context())


def _counted() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counted(SpanExporter):
        """Counts the spans that the collector accepted and those that it did not."""

        def __init__(self) -> None:
            self.inner: Any = OTLPSpanExporter()
            self.taken = 0

        def export(self, batch: Sequence[Any]) -> SpanExportResult:
            self.taken += len(batch)
            global _last_export_ok
            result: SpanExportResult = self.inner.export(batch)
            _last_export_ok = result is SpanExportResult.SUCCESS
            if _last_export_ok:
                exported.inc(len(batch))
            else:
                dropped.labels("collector").inc(len(batch))
            return result

        def shutdown(self) -> None:
            self.inner.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return bool(self.inner.force_flush(timeout_millis))

    return Counted()


def _processor() -> Any:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Bounded(BatchSpanProcessor):
        """Drops the newest span of a full queue and counts it; the SDK would drop the oldest and only log that."""

        def __init__(self, exporter: Any, size: int) -> None:
            super().__init__(exporter, max_queue_size=size)
            self._counted, self._size, self._ended = exporter, size, 0
            os.register_at_fork(after_in_child=self._begin_anew)

        def _begin_anew(self) -> None:
            self._ended = self._counted.taken = 0  # the queue is empty in a child

        def on_end(self, span: Any) -> None:
            if self._ended - self._counted.taken >= self._size:
                dropped.labels("queue").inc()
                return
            self._ended += 1
            super().on_end(span)

    return Bounded(_counted(), int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or QUEUE))


def start() -> None:
    """Start tracing in this process, if an endpoint is configured. Called once, when the applications are ready."""
    if not settings.TRACES_ENDPOINT or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    tracer = Exporting()
    spans.trace_with(tracer)
    atexit.register(tracer.flush)
    # A forked worker of a web server ends without running atexit functions, but runs this finalizer.
    multiprocessing.util.Finalize(None, tracer.flush, exitpriority=10)

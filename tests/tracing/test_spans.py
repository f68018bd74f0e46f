"""Which traces are recorded, how spans are nested, and that spans change no behaviour."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.test import RequestFactory

from apps.contracts.interface import CONTRACTS
from apps.contracts.models import Command, Outbox
from apps.core import topology
from apps.core.interface.context import new_context, new_trace
from apps.core.interface.errors import RemoteCallFailed
from apps.core.observability import identity, spans
from apps.core.observability.spans import Kind
from apps.core.rest.middleware import RequestIdentity
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from apps.core.seam.events import relay
from landcontracts.embedded.stack import BASE
from tests.tracing.receiver import Receiver
from tests.world import World


class RecordedSpan:
    """One span with its attributes, from its begin to its end."""

    def __init__(self, name: str, kind: Kind, parent: str, attributes: dict, number: int) -> None:
        self.name, self.kind, self.parent, self.attributes = name, kind, parent, dict(attributes)
        self.error, self.is_over = "", False
        self.trace = f"{parent[:36] if parent else f'00-{number:032x}-'}{number:016x}-01"

    def end(self, attributes, *, error: str = "", name: str = "") -> None:
        assert not self.is_over
        self.attributes |= attributes
        self.error, self.name, self.is_over = error, name or self.name, True


class SpanRecorder:
    """A tracer that keeps all spans."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self.chosen = True
        self._numbers = itertools.count(1)

    def begin(self, name, kind, parent, attributes) -> RecordedSpan:
        self.spans.append(RecordedSpan(name, kind, parent, attributes, next(self._numbers)))
        return self.spans[-1]

    def chooses(self, name: str) -> bool:
        return self.chosen

    def named(self, start: str) -> list[RecordedSpan]:
        return [span for span in self.spans if span.name.startswith(start)]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> SpanRecorder:
    tracer = SpanRecorder()
    monkeypatch.setattr(spans, "_tracer", tracer)
    return tracer


def trace_of(traceparent: str = "") -> str:
    """The trace of a request with this header."""
    traces: list[str] = []

    def view(request):
        from django.http import HttpResponse

        traces.append(request.trace)
        return HttpResponse()

    headers = {"traceparent": traceparent} if traceparent else {}
    RequestIdentity(view)(RequestFactory().get("/x", headers=headers))
    return traces[0]


def test_an_outside_caller_can_neither_force_nor_prevent_recording(recorder: SpanRecorder):
    sent = new_trace()
    recorder.chosen = False
    assert trace_of(sent) == f"{sent[:-2]}00"
    assert recorder.spans == []
    recorder.chosen = True
    assert trace_of(f"{sent[:-2]}00")[:35] == sent[:35]
    assert recorder.spans[0].parent == f"{sent[:-2]}01"


WELL_FORMED = f"00-{'a1' * 16}-{'b2' * 8}-01"


@pytest.mark.parametrize(
    "sent",
    ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "1" * 32 + "-" + "0" * 16 + "-01", WELL_FORMED.upper(),
     f"{WELL_FORMED}\n", f"01-{WELL_FORMED[3:]}", "00-" + "1" * 32 + "-" + "1" * 16 + "-1٣"],
)  # fmt: skip
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(recorder: SpanRecorder, sent: str):
    trace_of(sent) if "\n" not in sent and sent.isascii() else spans.TRACEPARENT.fullmatch(sent)
    assert spans.TRACEPARENT.fullmatch(sent) is None
    assert all(span.parent == "" for span in recorder.spans)


def test_without_an_endpoint_a_request_keeps_the_callers_traceparent_as_it_came():
    assert not spans.is_tracing()
    sent = f"{new_trace()[:-2]}00"
    assert trace_of(sent) == sent


def test_an_unsampled_trace_makes_no_span_anywhere(recorder: SpanRecorder, here: World):
    here.trace = spans.unsampled(here.trace)
    seller, buyer = here.person(), here.person()
    here.contract(seller, buyer)
    here.settle()
    # Events of earlier tests may be due as well, and those were sampled.
    assert [span for span in recorder.spans if span.trace[3:35] == here.trace[3:35]] == []


def test_work_without_a_request_or_job_is_not_recorded(recorder: SpanRecorder):
    assert not spans.is_sampled(new_context().trace)
    with spans.job("documents.sweep"):
        inside = new_context().trace
    assert spans.is_sampled(inside)
    assert (recorder.spans[0].trace, recorder.spans[0].kind, recorder.spans[0].is_over) == (inside, Kind.INTERNAL, True)
    assert identity.trace() == ""


def test_a_command_its_event_its_deliveries_and_their_effects_are_one_tree(recorder: SpanRecorder, here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    deliver_all(here)
    (create,) = recorder.named("contracts/create")
    assert create.parent == here.trace
    sent = [span for span in recorder.named("send contracts.contract_created") if span.parent == create.trace]
    assert {span.attributes["messaging.consumer.group.name"] for span in sent} == {"notifications", "workflow"}
    rows = set(Outbox.objects.filter(aggregate_id=contract.id).values_list("trace", flat=True))
    assert rows == {span.trace for span in sent}
    processed = {span.parent: span for span in recorder.named("process contracts.contract_created")}
    assert set(processed) >= rows
    received = [span for span in recorder.spans if span.name.endswith("/receive")]
    assert {span.parent for span in received} >= {span.trace for span in processed.values()}
    followed = [span for span in recorder.named("send workflow.") if span.parent in {t.trace for t in received}]
    assert followed
    assert all(span.is_over for span in recorder.spans)
    assert {span.trace[:35] for span in recorder.spans} == {here.trace[:35]}
    assert identity.fields() == {}


def deliver_all(here: World) -> None:
    """Deliver until nothing of this world's trace waits, below any span."""
    from tests.world import _outbox

    waiting = "SELECT 1 FROM {outbox} WHERE trace LIKE %s AND delivered_at IS NULL LIMIT 1"
    for _ in range(100):
        services = [s for s in topology.entries() if _outbox(s, waiting, f"{here.trace[:35]}%")]
        if not services:
            return
        for service in services:
            relay.deliver_due(service)
    raise AssertionError("undelivered")


def test_each_attempt_to_deliver_is_a_span_below_the_same_cause(recorder: SpanRecorder, here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)

    class Unreachable:
        side = process = "away"

        def send(self, *_: object):
            raise RemoteCallFailed("no anna@test.example here", may_have_executed=False)

    def without_workflow(service, ctx):
        return Unreachable() if service == "workflow" else here.resolve(service, ctx)

    rows = Outbox.objects.filter(aggregate_id=contract.id, consumer="workflow")
    with registry.routed_by(without_workflow):
        while rows.filter(attempts=0).exists():
            relay.deliver_due("contracts", rounds=1)
    rows.update(leased_until=None)
    deliver_all(here)
    trace = rows.get().trace
    attempts = [span for span in recorder.named("process ") if span.parent == trace]
    assert [span.attributes["seam.attempt"] for span in attempts] == [1, 2]
    failed = [span for span in recorder.spans if span.error]
    assert [span.error for span in failed] == ["RemoteCallFailed"]
    assert "anna@" not in str([span.__dict__ for span in recorder.spans])


def test_the_same_key_in_another_trace_is_answered_the_same(recorder: SpanRecorder, here: World):
    seller, buyer = here.person(), here.person()
    plot = here.plot(seller)
    arguments = {"buyer_id": buyer.id, "land_plot_id": plot.id, "price": Decimal("1.00")}
    first = call(CONTRACTS).create(ctx=here.ctx(seller, key="one"), **arguments)
    here.trace = new_trace()
    assert call(CONTRACTS).create(ctx=here.ctx(seller, key="one"), **arguments) == first
    assert Command.objects.filter(method="create", key="one", actor_id=seller.id).count() == 1
    assert Outbox.objects.filter(aggregate_id=first.id, consumer="workflow").count() == 1


def test_a_command_that_was_rolled_back_has_sent_nothing(recorder: SpanRecorder, here: World, monkeypatch):
    from django.db import OperationalError

    from apps.core.seam.server.commands import CommandLog

    store, failures = CommandLog.store, iter([True])

    def failing(self, *arguments):
        store(self, *arguments)
        if next(failures, False):
            raise OperationalError("the connection is gone")

    seller, buyer = here.person(), here.person()
    plot = here.plot(seller)
    monkeypatch.setattr(CommandLog, "store", failing)
    call(CONTRACTS).create(ctx=here.ctx(seller), buyer_id=buyer.id, land_plot_id=plot.id, price=Decimal("1.00"))
    sent = recorder.named("send contracts.contract_created")
    assert [span.is_over for span in sent] == [False, False, True, True]


def test_a_refusal_is_an_outcome_and_no_failure(recorder: SpanRecorder, here: World):
    from apps.contracts.interface import ContractNotFound

    with pytest.raises(ContractNotFound):
        call(CONTRACTS).get(ctx=here.ctx(here.person()), contract_id=uuid.uuid4())
    (get,) = recorder.named("contracts/get")
    assert (get.attributes["seam.outcome"], get.error) == ("not_found", "")


def test_an_answer_is_the_same_with_and_without_spans(here: World, monkeypatch: pytest.MonkeyPatch):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    without = call(CONTRACTS).get(ctx=here.ctx(seller), contract_id=contract.id)
    monkeypatch.setattr(spans, "_tracer", SpanRecorder())
    assert call(CONTRACTS).get(ctx=here.ctx(seller), contract_id=contract.id) == without


FORKS = """
import os, django; django.setup()
from apps.core.observability import spans
from apps.core.interface.context import new_context
with spans.job("parent"):
    new_context()
child = os.fork()
with spans.job("child" if child == 0 else "parent again"):
    new_context()
if child == 0:
    import atexit; atexit._run_exitfuncs(); os._exit(0)
os.waitpid(child, 0)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def run(code: str, **environment: str) -> None:
    env = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "600000", **environment}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=BASE, env=env, check=True, timeout=60)


def test_a_forked_process_exports_its_own_spans_and_only_those(receiver: Receiver):
    run(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="forking")
    assert sorted(span.name for span in receiver.spans) == ["child", "parent", "parent again"]
    assert {span.service for span in receiver.spans} == {"forking"}


SAMPLES = """
import django; django.setup()
from apps.core.observability import spans
print(sum(spans._tracer.chooses("x") for _ in range(1000)), file=__import__("sys").stderr)
kept = 0
for _ in range(1000):
    trace, span = spans.arrived("GET", "00-" + "0" * 31 + "1-" + "1" * 16 + "-01", "", {})
    kept += span is not None
    if span: span.end({})
assert 0 <= kept < 40, kept
"""


def test_the_configured_sampler_decides_for_any_trace_id_of_a_caller(receiver: Receiver):
    """A ratio is taken of the trace id's last digits: one that ends in 1 would always be kept."""
    run(
        SAMPLES,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.01",
    )
    assert len(receiver.spans) < 40


def test_a_wrong_tracing_setting_fails_no_process(receiver: Receiver):
    run(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_BSP_MAX_QUEUE_SIZE="many")
    run(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SDK_DISABLED="true")
    assert receiver.spans == []

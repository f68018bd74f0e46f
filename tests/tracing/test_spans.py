"""Who decides what is recorded, what hangs below what, and what a span changes: nothing."""

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


class Told:
    """One span as it was begun and ended."""

    def __init__(self, name: str, kind: Kind, parent: str, attributes: dict, number: int) -> None:
        self.name, self.kind, self.parent, self.attributes = name, kind, parent, dict(attributes)
        self.error, self.is_over = "", False
        self.trace = f"{parent[:36] if parent else f'00-{number:032x}-'}{number:016x}-01"

    def end(self, attributes, *, error: str = "", name: str = "") -> None:
        assert not self.is_over
        self.attributes |= attributes
        self.error, self.name, self.is_over = error, name or self.name, True


class Notebook:
    """A tracer that remembers."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.chosen = True
        self._numbers = itertools.count(1)

    def begin(self, name, kind, parent, attributes) -> Told:
        self.told.append(Told(name, kind, parent, attributes, next(self._numbers)))
        return self.told[-1]

    def chooses(self, name: str) -> bool:
        return self.chosen

    def named(self, start: str) -> list[Told]:
        return [told for told in self.told if told.name.startswith(start)]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    made = Notebook()
    monkeypatch.setattr(spans, "_tracer", made)
    return made


def asked(traceparent: str = "") -> str:
    """The trace that a request with this header goes on with."""
    seen: list[str] = []

    def view(request):
        from django.http import HttpResponse

        seen.append(request.trace)
        return HttpResponse()

    headers = {"traceparent": traceparent} if traceparent else {}
    RequestIdentity(view)(RequestFactory().get("/x", headers=headers))
    return seen[0]


def test_a_stranger_can_neither_have_everything_recorded_nor_hide(notebook: Notebook):
    sent = new_trace()
    notebook.chosen = False
    assert asked(sent) == f"{sent[:-2]}00"
    assert notebook.told == []
    notebook.chosen = True
    assert asked(f"{sent[:-2]}00")[:35] == sent[:35]
    assert notebook.told[0].parent == f"{sent[:-2]}01"


WELL_FORMED = f"00-{'a1' * 16}-{'b2' * 8}-01"


@pytest.mark.parametrize(
    "sent",
    ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "1" * 32 + "-" + "0" * 16 + "-01", WELL_FORMED.upper(),
     f"{WELL_FORMED}\n", f"01-{WELL_FORMED[3:]}", "00-" + "1" * 32 + "-" + "1" * 16 + "-1٣"],
)  # fmt: skip
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(notebook: Notebook, sent: str):
    asked(sent) if "\n" not in sent and sent.isascii() else spans.TRACEPARENT.fullmatch(sent)
    assert spans.TRACEPARENT.fullmatch(sent) is None
    assert all(told.parent == "" for told in notebook.told)


def test_without_an_endpoint_a_request_keeps_the_callers_traceparent_as_it_came():
    assert not spans.is_tracing()
    sent = f"{new_trace()[:-2]}00"
    assert asked(sent) == sent


def test_what_was_not_chosen_makes_no_span_anywhere(notebook: Notebook, here: World):
    here.trace = spans.unsampled(here.trace)
    seller, buyer = here.person(), here.person()
    here.contract(seller, buyer)
    here.settle()
    # Events of earlier tests may be due as well, and those were chosen.
    assert [told for told in notebook.told if told.trace[3:35] == here.trace[3:35]] == []


def test_work_that_nobody_began_is_not_recorded_and_a_job_is(notebook: Notebook):
    assert not spans.is_sampled(new_context().trace)
    with spans.job("documents.sweep"):
        inside = new_context().trace
    assert spans.is_sampled(inside)
    assert (notebook.told[0].trace, notebook.told[0].kind, notebook.told[0].is_over) == (inside, Kind.INTERNAL, True)
    assert identity.trace() == ""


def test_a_command_its_event_its_deliveries_and_what_follows_hang_together(notebook: Notebook, here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    ends(here)
    (create,) = notebook.named("contracts/create")
    assert create.parent == here.trace
    sent = [told for told in notebook.named("send contracts.contract_created") if told.parent == create.trace]
    assert {told.attributes["messaging.consumer.group.name"] for told in sent} == {"notifications", "workflow"}
    rows = set(Outbox.objects.filter(aggregate_id=contract.id).values_list("trace", flat=True))
    assert rows == {told.trace for told in sent}
    processed = {told.parent: told for told in notebook.named("process contracts.contract_created")}
    assert set(processed) >= rows
    received = [told for told in notebook.told if told.name.endswith("/receive")]
    assert {told.parent for told in received} >= {told.trace for told in processed.values()}
    followed = [told for told in notebook.named("send workflow.") if told.parent in {t.trace for t in received}]
    assert followed
    assert all(told.is_over for told in notebook.told)
    assert {told.trace[:35] for told in notebook.told} == {here.trace[:35]}
    assert identity.fields() == {}


def ends(here: World) -> None:
    """Deliver until nothing of this world's trace waits, whichever span it hangs below."""
    from tests.world import _outbox

    waiting = "SELECT 1 FROM {outbox} WHERE trace LIKE %s AND delivered_at IS NULL LIMIT 1"
    for _ in range(100):
        services = [s for s in topology.entries() if _outbox(s, waiting, f"{here.trace[:35]}%")]
        if not services:
            return
        for service in services:
            relay.deliver_due(service)
    raise AssertionError("undelivered")


def test_each_attempt_to_deliver_is_a_span_below_the_same_cause(notebook: Notebook, here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)

    class Away:
        side = process = "away"

        def send(self, *_: object):
            raise RemoteCallFailed("no anna@test.example here", may_have_executed=False)

    def workflow_is_away(service, ctx):
        return Away() if service == "workflow" else here.resolve(service, ctx)

    rows = Outbox.objects.filter(aggregate_id=contract.id, consumer="workflow")
    with registry.routed_by(workflow_is_away):
        while rows.filter(attempts=0).exists():
            relay.deliver_due("contracts", rounds=1)
    rows.update(leased_until=None)
    ends(here)
    trace = rows.get().trace
    attempts = [told for told in notebook.named("process ") if told.parent == trace]
    assert [told.attributes["seam.attempt"] for told in attempts] == [1, 2]
    failed = [told for told in notebook.told if told.error]
    assert [told.error for told in failed] == ["RemoteCallFailed"]
    assert "anna@" not in str([told.__dict__ for told in notebook.told])


def test_the_same_key_in_another_trace_is_answered_the_same(notebook: Notebook, here: World):
    seller, buyer = here.person(), here.person()
    plot = here.plot(seller)
    given = {"buyer_id": buyer.id, "land_plot_id": plot.id, "price": Decimal("1.00")}
    first = call(CONTRACTS).create(ctx=here.ctx(seller, key="one"), **given)
    here.trace = new_trace()
    assert call(CONTRACTS).create(ctx=here.ctx(seller, key="one"), **given) == first
    assert Command.objects.filter(method="create", key="one", actor_id=seller.id).count() == 1
    assert Outbox.objects.filter(aggregate_id=first.id, consumer="workflow").count() == 1


def test_a_command_that_was_rolled_back_has_sent_nothing(notebook: Notebook, here: World, monkeypatch):
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
    sent = notebook.named("send contracts.contract_created")
    assert [told.is_over for told in sent] == [False, False, True, True]


def test_a_refusal_is_an_outcome_and_no_failure(notebook: Notebook, here: World):
    from apps.contracts.interface import ContractNotFound

    with pytest.raises(ContractNotFound):
        call(CONTRACTS).get(ctx=here.ctx(here.person()), contract_id=uuid.uuid4())
    (asked_for,) = notebook.named("contracts/get")
    assert (asked_for.attributes["seam.outcome"], asked_for.error) == ("not_found", "")


def test_an_answer_looks_the_same_with_and_without_spans(here: World, monkeypatch: pytest.MonkeyPatch):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    without = call(CONTRACTS).get(ctx=here.ctx(seller), contract_id=contract.id)
    monkeypatch.setattr(spans, "_tracer", Notebook())
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
    with Receiver() as made:
        yield made


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


def test_the_configured_sampler_decides_whatever_trace_id_a_caller_chooses(receiver: Receiver):
    """A ratio is taken of the trace id's last digits: one that ends in 1 would always be kept."""
    run(
        SAMPLES,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.01",
    )
    assert len(receiver.spans) < 40


def test_a_wrong_setting_of_tracing_fails_nobody(receiver: Receiver):
    run(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_BSP_MAX_QUEUE_SIZE="many")
    run(FORKS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SDK_DISABLED="true")
    assert receiver.spans == []

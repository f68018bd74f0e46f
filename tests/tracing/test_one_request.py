"""One upload, followed by its spans and by its log lines from the API through the lifted-out service to the last event."""

from __future__ import annotations

import io
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.core.seam.events import request_trace
from apps.extraction.routing import shares
from tests.journeys.people import Person
from tests.tracing.deployment import LIFTED, Deployment, whole
from tests.tracing.receiver import Received, Receiver
from tests.world import pdf

NAME = "Следопытова Прасковья"
FILE = "Паспорт продавца Следопытовой.pdf"
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
CALLER_SPAN = "00f067aa0ba902b7"
PROCESSES = {("monolith", "server"), ("monolith", "celery"), (LIFTED, "server"), (LIFTED, "celery")}


class Followed(NamedTuple):
    """The spans and log lines of one upload, once every process has stopped."""

    receiver: Receiver
    deployment: Deployment
    seller: Person
    request_id: str
    trace_id: str

    @property
    def spans(self) -> list[Received]:
        return self.receiver.of(self.trace_id)

    @property
    def lines(self) -> list[dict]:
        return [line for line in self.deployment.lines() if line.get("trace_id") == self.trace_id]


@pytest.fixture(scope="module")
def followed(database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("deployment")
    # No batch is due before the processes stop: all spans that arrive were flushed at their end.
    settings = {"LOG_LEVEL": "INFO", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with Receiver() as receiver:
        with whole(folder, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **settings) as deployment:
            shares.set_share(LIFTED, "remote", Decimal(100))
            try:
                followed = _upload(receiver, deployment)
            finally:
                shares.set_share(LIFTED, "remote", Decimal(0))
        yield followed


def _upload(receiver: Receiver, deployment: Deployment) -> Followed:
    seller, buyer = Person(), Person()
    seller.url = deployment.url
    del seller._headers["Authorization"]
    seller.register(seller.email.replace("@", ".second@"), seller.password, NAME, ["seller"])
    plot = seller.post(
        "land-plots",
        {"cadastral_number": f"50:20:{uuid.uuid4().int % 10**7:07d}:7", "address": "Поле", "area_m2": "600"},
    )
    contract = seller.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "1.00"})
    seller.wait_for(f"workflows?contract_id={contract['id']}", bool)
    until(lambda: seller.get(f"documents?contract_id={contract['id']}") == [] and seller.answered_by[LIFTED] == LIFTED)
    followed = Followed(receiver, deployment, seller, f"upload-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex)
    # The caller's own trace; the platform ignores its "not recorded" flag.
    seller._headers |= {"X-Request-ID": followed.request_id, "traceparent": f"00-{followed.trace_id}-{CALLER_SPAN}-00"}
    seller.upload(FILE, pdf(), "application/pdf", contract_id=contract["id"], document_type="sale_contract")
    until(lambda: _all_delivered(followed))
    return followed


def _all_delivered(followed: Followed) -> bool:
    steps = request_trace.steps(followed.trace_id, timezone.now() - timezone.timedelta(hours=1))
    return any(step.emitter == "workflow" for step in steps) and all(step.delivered_at for step in steps)


def until(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_spans_are_one_tree_below_the_callers_own_span(followed: Followed):
    spans = followed.spans
    ids = {span.span_id for span in spans}
    assert len(ids) == len(spans)
    assert [span.name for span in spans if span.parent_id == CALLER_SPAN] == ["POST /api/v1/documents/upload"]
    assert all(span.parent_id in ids for span in spans if span.parent_id != CALLER_SPAN)


def test_every_process_has_its_spans_under_its_own_name(followed: Followed):
    assert {(span.service, span.instance.split()[0]) for span in followed.spans} == PROCESSES
    assert len({span.instance for span in followed.spans}) == len(PROCESSES)


def path_to(spans: list[Received], last: Received) -> list[str]:
    """The spans from the first to the given one: kind, name and process of each."""
    by_id = {span.span_id: span for span in spans}
    path: list[Received] = [last]
    while (parent := by_id.get(path[-1].parent_id)) is not None:
        path.append(parent)
    return [f"{span.kind} {span.name} {span.service} {span.instance.split()[0]}" for span in reversed(path)]


def test_the_path_from_the_api_to_the_last_event_can_be_read_off(followed: Followed):
    spans = followed.spans
    paths = [path_to(spans, span) for span in spans if span.name == "notifications/receive" and span.kind == "client"]
    expected = [
        "server POST /api/v1/documents/upload monolith server",
        "client documents/complete_upload monolith server",
        "server documents/complete_upload documents server",
        "producer send documents.document_stored documents server",
        "consumer process documents.document_stored documents celery",
        "client workflow/receive documents celery",
        "server workflow/receive monolith server",
        "producer send workflow.stage_started monolith server",
        "consumer process workflow.stage_started monolith celery",
        "client notifications/receive monolith celery",
    ]
    assert expected in paths
    rights = [span for span in spans if span.name == "contracts/rights" and span.kind == "server"]
    assert rights
    assert all(path_to(spans, span)[-2] == "client contracts/rights documents server" for span in rights)


def test_spans_carry_the_outcome_in_standard_attributes(followed: Followed):
    first = next(span for span in followed.spans if span.parent_id == CALLER_SPAN)
    assert first.attributes["http.route"] == "/api/v1/documents/upload"
    assert first.attributes["http.response.status_code"] == 201
    assert first.attributes["enduser.pseudo.id"] == followed.seller.user["id"]
    calls = [span for span in followed.spans if span.kind == "client"]
    assert {span.attributes["seam.outcome"] for span in calls} == {"ok"}
    assert {span.attributes["seam.side"] for span in calls if span.attributes["rpc.service"] == LIFTED} == {"away"}
    assert not any(span.failed for span in followed.spans)
    assert all(span.started <= span.ended for span in followed.spans)


def test_no_span_of_any_request_holds_personal_data(followed: Followed):
    everything = b"\n".join(followed.receiver.raw).decode("utf-8", "replace")
    assert "auth/register" in everything  # requests with names, addresses and passwords were traced too
    assert_nothing_personal(everything, followed)


def assert_nothing_personal(text: str, followed: Followed) -> None:
    seller = followed.seller
    assert EMAIL.findall(text) == []
    for words in (*NAME.split(), "Паспорт", seller.email, seller.password, "Поле", "contract_id=", "Bearer "):
        assert words not in text


def test_the_log_lines_of_all_processes_share_the_ids(followed: Followed):
    lines = followed.lines
    assert {(line["service"], line["process"].split(":")[0]) for line in lines} == PROCESSES
    assert {line["request_id"] for line in lines} == {followed.request_id}
    assert {line["actor"] for line in lines} == {followed.seller.user["id"]}
    counts = Counter(line["event"] for line in lines)
    assert counts["request"] == 1
    assert counts["event_delivered"] == 5
    assert counts["seam_call"] >= 7
    spans = {span.span_id for span in followed.spans}
    assert {line["span_id"] for line in lines} <= spans
    delivered = [line for line in lines if line["event"] == "event_delivered"]
    assert all(line["event_id"] and line["event_type"] and line["consumer"] for line in delivered)


def test_the_access_line_names_the_route_and_not_the_path(followed: Followed):
    access = [line for line in followed.deployment.lines("web") if line["event"] == "request"]
    upload = next(line for line in access if line["request_id"] == followed.request_id)
    assert (upload["method"], upload["route"], upload["status"]) == ("POST", "/api/v1/documents/upload", 201)
    assert upload["ms"] > 0
    assert upload["answered_by"][LIFTED] == LIFTED
    assert not any(line["route"] == "/readyz" for line in access if line["level"] == "info")


def test_every_line_is_json_with_the_same_fields_and_no_personal_data(followed: Followed):
    lines = followed.deployment.lines()
    for line in lines:
        assert {"timestamp", "level", "event", "service", "process", "logger"} <= set(line)
    assert_nothing_personal(str(lines), followed)


def test_lines_of_one_trace_are_of_one_request_and_one_actor(followed: Followed):
    """An identity left on its thread would appear in the next request's lines.

    Only traces that began at this web server: the workers may deliver other tests' events too, many requests in one trace.
    """
    access = [line for line in followed.deployment.lines("web") if str(line.get("route", "")).startswith("/api/")]
    by_trace: dict[str, set[str]] = {line["trace_id"]: set() for line in access}
    for line in followed.deployment.lines():
        if line.get("trace_id") in by_trace:
            by_trace[line["trace_id"]].add(line["request_id"])
    assert len(by_trace) > 5
    assert all(len(requests) == 1 for requests in by_trace.values()), by_trace
    registered = next(line for line in followed.deployment.lines("web") if line.get("route") == "/api/v1/auth/register")
    assert "actor" not in registered


def test_follow_shows_the_events_and_their_outcome(followed: Followed):
    for identity in (followed.request_id, followed.trace_id, f"00-{followed.trace_id}-{CALLER_SPAN}-01"):
        output = io.StringIO()
        call_command("follow", identity, stdout=output)
        text = output.getvalue()
        assert followed.request_id in text
        assert followed.trace_id in text
        stored = text.index("documents.document_stored → workflow")
        assert stored < text.index("workflow.stage_started → notifications")
        assert ": told " in text
        assert_nothing_personal(text, followed)


def test_follow_reports_an_unknown_id(followed: Followed):
    for identity in (uuid.uuid4().hex, "no id at all", "x" * 65):
        with pytest.raises(CommandError):
            call_command("follow", identity)

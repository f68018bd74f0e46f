"""Documents lifted out: called by the platform by its flag, and by the gateway itself. Answers are the same either way."""

import os
import signal
import time
from decimal import Decimal
from uuid import UUID

import pytest

from apps.authentication.interface import AUTHENTICATION
from apps.core.seam.client.registry import call
from apps.extraction.routing import shares
from tests.gateway.envoys import STACK, Gateway, problem, running, send
from tests.gateway.test_same import JSON, NOWHERE, REQUESTS, Browser, comparable
from tests.gateway.test_tokens import forged
from tests.journeys import test_rest
from tests.journeys.people import Person
from tests.journeys.test_sale import (  # noqa: F401 - run once more, here
    authority,
    test_a_document_comes_under_its_own_name_and_the_link_expires,
    test_a_sale_goes_from_plot_to_completion,
    test_a_signed_document_is_not_superseded,
    test_an_upload_ticket_cannot_change_what_was_accepted,
)
from tests.seam.servers import lifted
from tests.world import World

test_uploads_are_checked = test_rest.test_uploads_are_checked
test_a_file_name_keeps_its_quotation_marks = test_rest.test_a_file_name_keeps_its_quotation_marks
raw, plot, upload = test_rest.raw, test_rest.plot, test_rest.upload


@pytest.fixture(scope="module")
def documents():
    with lifted("documents", "--no-worker") as (url, process):
        shares.set_share("documents", "remote", Decimal(100))
        yield url, process
        shares.set_share("documents", "remote", Decimal(0))


@pytest.fixture(scope="module", params=["by the flag", "by the gateway"])
def gateway(request: pytest.FixtureRequest, documents):
    if request.param == "by the flag":
        yield request.getfixturevalue("through")
        return
    with running(apart=[f"documents={documents[0]}"]) as started:
        yield started


@pytest.fixture(autouse=True)
def through_the_gateway(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEB_URL", gateway.url)


@pytest.fixture
def person(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.setenv("WEB_URL", gateway.url)
    return Person()


def answered_by(gateway: Gateway, person: Person, process: str, seconds: float = 10) -> None:
    """Return when documents are answered by a process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = gateway.send("GET", f"/api/v1/documents?contract_id={NOWHERE}", **person._headers)
        assert answer.status == 200, answer.data
        if f"documents={process}" in answer.headers.get("X-Answered-By", ""):
            return
        time.sleep(0.05)
    raise AssertionError(f"documents are not answered by {process}: {answer.headers}")


def test_the_lifted_process_answers(gateway: Gateway, documents, person: Person, request: pytest.FixtureRequest):
    answered_by(gateway, person, "documents")
    identity = f"apart-{os.urandom(4).hex()}"
    gateway.send("GET", f"/api/v1/documents?contract_id={NOWHERE}", **{**person._headers, "X-Request-ID": identity})
    apart = "by the gateway" in request.node.name
    address = documents[0] if apart else STACK
    assert gateway.logged(identity)["upstream"] == address.removeprefix("http://")


@pytest.mark.parametrize("name", [name for name, request in REQUESTS.items() if "documents" in request[1]])
@pytest.mark.parametrize("signed_in", [True, False], ids=["with a token", "without"])
def test_an_answer_is_the_same(gateway: Gateway, direct: str, person: Person, name: str, signed_in: bool):
    method, path, body, headers = REQUESTS[name]
    everything = {
        "Accept-Language": "en",
        **headers,
        **({"Authorization": person._headers["Authorization"]} if signed_in else {}),
    }
    without, with_gateway = (comparable(send(url, method, path, body, **everything)) for url in (direct, gateway.url))
    for answer in (without, with_gateway):
        # A process without sessions and pages answers each session alike, sends no frame header, and names the services it called.
        for name in ("vary", "x-frame-options", "x-answered-by"):
            answer["headers"].pop(name, None)
    assert with_gateway == without


@pytest.mark.parametrize("change", ["expired", "other_audience", "other_key"])
def test_a_bad_token_reaches_neither(gateway: Gateway, person: Person, change: str):
    answer = gateway.send("GET", f"/api/v1/documents/{NOWHERE}", Authorization=f"Bearer {forged(person, change)}")
    assert problem(answer)["code"] == "authentication_failed"


def test_a_blocked_persons_token_is_refused_by_the_lifted_process_itself(documents, here: World):
    """It asks the platform, about once in half a second, whose tokens were revoked."""
    person = Person()
    path = f"/api/v1/documents?contract_id={NOWHERE}"
    assert send(documents[0], "GET", path, **person._headers).status == 200
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=UUID(person.user["id"]), is_active=False)
    deadline = time.monotonic() + 1.5
    while (answer := send(documents[0], "GET", path, **person._headers)).status != 401:
        assert time.monotonic() < deadline, answer.data
    assert problem(answer)["code"] == "authentication_failed"


def test_a_browsers_session_is_still_known(gateway: Gateway, person: Person):
    browser = Browser(gateway.url)
    browser.sign_in(person)
    assert browser.send("GET", f"/api/v1/documents?contract_id={NOWHERE}").status == 200
    assert browser.send("GET", f"/api/v1/documents?contract_id={NOWHERE}", Accept="application/json").status == 200


def test_the_inside_of_the_lifted_process_is_not_public(gateway: Gateway):
    for path in ("/internal/seam/documents/get", "/api/v1/documents/../../../internal/seam/documents/get", "/metrics"):
        assert gateway.send("POST", path, b"{}").status == 404


@pytest.mark.parametrize("gateway", ["by the gateway"], indirect=True)
def test_the_platform_answers_when_the_lifted_process_is_killed(gateway: Gateway, documents, person: Person):
    """The last test of the module. Requests succeed, although the gateway called the process itself."""
    answered_by(gateway, person, "documents")
    _, process = documents
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    path = f"/api/v1/documents?contract_id={NOWHERE}"
    answers = [gateway.send("GET", path, **person._headers) for _ in range(30)]
    assert {answer.status for answer in answers} == {200}, [answer.data for answer in answers]
    answered_by(gateway, person, "monolith")
    command = gateway.send("POST", "/api/v1/documents/uploads", b"{}", **person._headers, **JSON)
    assert problem(command)["code"] == "invalid_request"

"""Every log line is JSON in one form and carries the ids of its request, and only while that request runs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import uuid

import pytest
import structlog
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory

from apps.core.interface.context import Actor, new_context, new_trace, to_wire
from apps.core.observability import identity
from apps.core.rest.middleware import RequestIdentity
from apps.core.seam import signing
from apps.core.seam.server import dispatch, endpoint
from landcontracts import logs
from landcontracts.embedded.stack import BASE


def written(code: str, **environment: str) -> list[dict]:
    """The log lines of a process of the platform that runs some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{code}"],
        cwd=BASE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


LOGS = """
import logging, threading, warnings, structlog
ours, theirs = structlog.get_logger("apps.x"), logging.getLogger("another.library")
ours.info("told", to="anna@test.example", service="there")
theirs.info("connected as %s", "anna@test.example")
logging.getLogger("django.db.backends").debug("SELECT 'Анна'")
logging.getLogger("celery.worker.strategy").info("each second")
def fail():
    password = "in-a-local-variable"
    raise ValueError("no such person: anna@test.example, secret=abc")
try:
    fail()
except ValueError:
    ours.exception("failed")
    theirs.error("failed too", exc_info=True)
warnings.warn("careful with anna@test.example")
thread = threading.Thread(target=fail); thread.start(); thread.join()
"""


def test_our_lines_and_the_libraries_lines_have_one_form_and_are_masked():
    lines = written(LOGS, LOG_LEVEL="INFO", SEAM_PROCESS_NAME="here")
    assert [line["logger"] for line in lines] == [
        "apps.x", "another.library", "apps.x", "another.library", "py.warnings", "landcontracts.logs"
    ]  # fmt: skip
    assert {line["service"] for line in lines} == {"here"}
    assert lines[0]["app"] == "there"
    assert [line["level"] for line in lines] == ["info", "info", "error", "error", "warning", "error"]
    assert all("ValueError" in lines[number]["exception"] for number in (2, 3, 5))
    for secret in ("anna@", "abc", "in-a-local-variable\n", "Анна"):
        assert secret not in json.dumps(lines[:4] + lines[5:], ensure_ascii=False).replace('\\"in-a-local', "")
    assert "anna@" not in json.dumps(lines)


def test_by_default_it_is_quiet():
    lines = written(LOGS)
    assert {line["level"] for line in lines} == {"warning", "error"}


def test_at_no_level_do_statements_show_their_parameters():
    assert settings.LOGGING["loggers"]["django.db.backends"]["level"] == "WARNING"


class Lines(logging.Handler):
    """Collects formatted lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.formatter("test"))
        self.lines: list[dict] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines():
    handler = Lines()
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def test_below_its_level_a_line_masks_nothing(monkeypatch: pytest.MonkeyPatch):
    masked: list[str] = []
    monkeypatch.setattr(logs, "mask", lambda _, __, line: masked.append(line["event"]) or line)
    handler = Lines()  # its formatter is created now, with the counting mask
    logging.getLogger("quiet").addHandler(handler)
    try:
        quiet = structlog.get_logger("quiet")
        quiet.debug("below the level", huge=["x"] * 1000)
        assert masked == []
        quiet.error("above the level")
        assert "above the level" in masked
    finally:
        logging.getLogger("quiet").removeHandler(handler)


def say(words: str) -> None:
    logging.getLogger("django.request").error(words)


def test_a_request_is_in_its_lines_and_in_no_line_after_it(lines: list[dict]):
    actor = uuid.uuid4()

    def view(request):
        identity.note_actor(actor)
        say("inside")
        raise KeyError("a view without a handler")

    trace = new_trace()
    request = RequestFactory().get("/x", headers={"x-request-id": "r-1", "traceparent": trace})
    with pytest.raises(KeyError):
        RequestIdentity(view)(request)
    say("after")
    inside, after = lines
    assert (inside["request_id"], inside["trace_id"], inside["actor"]) == ("r-1", trace[3:35], str(actor))
    assert not {"request_id", "trace_id", "actor"} & set(after)
    assert identity.fields() == {}


def test_two_requests_on_one_thread_and_two_at_once_do_not_mix(lines: list[dict]):
    start = threading.Barrier(4)

    def view(request):
        if request.headers["x-request-id"].endswith("-known"):
            identity.note_actor(uuid.UUID(int=7))
        say(request.headers["x-request-id"])
        return HttpResponse()

    def work(thread: int) -> None:
        start.wait()
        for number in range(50):
            for kind in ("known", "stranger"):
                request_id = f"{thread}-{number}-{kind}"
                RequestIdentity(view)(RequestFactory().get("/x", headers={"x-request-id": request_id}))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines) == 400
    for line in lines:
        assert line["request_id"] == line["event"]
        assert ("actor" in line) == line["event"].endswith("-known")


def test_in_the_admin_the_session_names_the_actor(lines: list[dict]):
    def view(request):
        request._cached_user = type("User", (), {"pk": uuid.UUID(int=9)})()
        return HttpResponse(status=500)

    access = Lines()
    logger = logging.getLogger("apps.core.rest.middleware")
    logger.addHandler(access)
    try:
        RequestIdentity(view)(RequestFactory().get("/admin/"))
    finally:
        logger.removeHandler(access)
    (line,) = access.lines
    assert (line["event"], line["level"], line["status"], line["actor"]) == (
        "request",
        "warning",
        500,
        str(uuid.UUID(int=9)),
    )


def test_a_refusal_is_not_logged_twice(lines: list[dict], client):
    assert client.get("/api/v1/documents/nothing").status_code == 404
    assert lines == []


def call_endpoint(service: str, method: str, arguments: bytes, ctx) -> tuple[str, bytes]:
    """Call the endpoint as another process does."""
    import io

    import msgspec

    body = b'{"context":%b,"arguments":%b}' % (msgspec.json.encode(to_wire(ctx, 5_000)), arguments)
    path = f"/internal/seam/{service}/{method}"
    at, seal = signing.seal(caller="monolith", callee=service, method="POST", path=path, body=body)
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
        "HTTP_X_SEAM_CALLER": "monolith", "HTTP_X_SEAM_TIME": at, "HTTP_X_SEAM_SIGNATURE": seal,
    }  # fmt: skip
    status: list[str] = []
    (answer,) = endpoint.application(environ, lambda line, _headers: status.append(line))
    return status[0], answer


def test_the_seam_endpoint_logs_with_the_callers_identity(lines: list[dict], monkeypatch: pytest.MonkeyPatch):
    actor = Actor(id=uuid.uuid4(), roles=("seller",))
    ctx = new_context(actor=actor, request_id="r-2", trace=new_trace())

    def broken(*_: object, **__: object):
        say("inside")
        raise RuntimeError

    monkeypatch.setattr(dispatch.local_binding("contracts"), "execute", broken)
    status, answer = call_endpoint("contracts", "list", b"{}", ctx)
    say("after")
    assert (status, answer) == ("500 Internal Server Error", b'{"fault":"internal error"}')
    inside, after = lines
    assert (inside["request_id"], inside["trace_id"], inside["actor"]) == ("r-2", ctx.trace[3:35], str(actor.id))
    assert "request_id" not in after


def test_a_context_made_during_a_request_belongs_to_the_request():
    with identity.working_for("r-3", trace := new_trace()):
        assert new_context().trace == trace
    assert new_context().trace != trace

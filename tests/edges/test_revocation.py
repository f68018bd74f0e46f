"""The list of revoked tokens: how old it may be, and what a failure of its source costs."""

import threading
import time
from uuid import uuid4

import pytest

from apps.core.rest import revocation
from apps.core.rest.revocation import RevocationList

PERSON = uuid4()


class Source:
    """What authentication answers; may hang or fail."""

    def __init__(self) -> None:
        self.versions = {PERSON: 2}
        self.reads = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self):
        self.reads += 1
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return dict(self.versions)


@pytest.fixture
def source():
    source = Source()
    yield source
    source.gate.set()


def test_a_lower_version_is_refused_and_others_are_not(source: Source):
    revoked = RevocationList(source)
    assert revoked.refuses(PERSON, 0)
    assert revoked.refuses(PERSON, 1)
    assert not revoked.refuses(PERSON, 2)
    assert not revoked.refuses(PERSON, 3)
    assert not revoked.refuses(uuid4(), 0)


def test_many_requests_read_it_once(source: Source):
    revoked = RevocationList(source)
    for _ in range(1000):
        revoked.refuses(PERSON, 1)
    assert source.reads <= 2


def test_a_list_that_is_older_than_a_second_is_waited_for(source: Source, monkeypatch: pytest.MonkeyPatch):
    revoked = RevocationList(source)
    assert not revoked.refuses(PERSON, 2)
    source.versions = {PERSON: 3}
    present = time.monotonic
    monkeypatch.setattr(revocation.time, "monotonic", lambda: present() + 1.01)
    assert revoked.refuses(PERSON, 2)


def test_a_source_that_fails_keeps_the_last_list_and_nobody_waits(source: Source, monkeypatch: pytest.MonkeyPatch):
    revoked = RevocationList(source)
    assert revoked.refuses(PERSON, 1)
    source.error = RuntimeError("away")
    seconds = [0.0]
    present = time.monotonic
    monkeypatch.setattr(revocation.time, "monotonic", lambda: present() + seconds[0])
    seconds[0] = 1.01
    assert revoked.refuses(PERSON, 1), "it waits for the attempt, which fails"
    source.gate.clear()
    seconds[0] = 5.0
    started = present()
    for _ in range(100):
        assert revoked.refuses(PERSON, 1)
    assert present() - started < 0.5
    source.error = None
    source.versions = {PERSON: 3}
    source.gate.set()
    deadline = present() + 5
    while not revoked.refuses(PERSON, 2):
        assert present() < deadline, "it is read again"
        time.sleep(0.01)


def test_a_thread_without_work_ends_and_begins_anew(source: Source, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(revocation, "IDLE_SECONDS", 0.05)
    revoked = RevocationList(source)
    assert revoked.refuses(PERSON, 1)
    thread = revoked._thread
    thread.join(5)
    assert not thread.is_alive()
    assert revoked.refuses(PERSON, 1)
    assert revoked._thread is not thread

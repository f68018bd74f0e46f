"""The list of revoked tokens: how old it may be, and what a failure of its source costs."""

import threading
import time
from uuid import uuid4

import pytest

from apps.core.rest import token_revocation
from apps.core.rest.token_revocation import TokenRevocations

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


class Clock:
    """The time that the list sees."""

    ahead = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, present = Clock(), time.monotonic

    class Time:
        sleep = staticmethod(time.sleep)

        @staticmethod
        def monotonic() -> float:
            return present() + clock.ahead

    monkeypatch.setattr(token_revocation, "time", Time)
    return clock


def becomes(condition, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def source():
    source = Source()
    yield source
    source.gate.set()


def test_a_lower_version_is_refused_and_others_are_not(source: Source):
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 0)
    assert revoked.refuses(PERSON, 1)
    assert not revoked.refuses(PERSON, 2)
    assert not revoked.refuses(PERSON, 3)
    assert not revoked.refuses(uuid4(), 0)


def test_many_requests_read_it_once(source: Source):
    revoked = TokenRevocations(source)
    for _ in range(1000):
        revoked.refuses(PERSON, 1)
    assert source.reads <= 2


def test_a_list_that_is_older_than_a_second_is_waited_for(source: Source, clock: Clock):
    revoked = TokenRevocations(source)
    assert not revoked.refuses(PERSON, 2)
    source.versions = {PERSON: 3}
    clock.ahead = 1.01
    assert revoked.refuses(PERSON, 2)


def seconds_of(call) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a_source_that_fails_keeps_the_last_list_and_no_request_waits(source: Source, clock: Clock):
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 1)
    source.error = RuntimeError("away")
    clock.ahead = 1.01
    assert revoked.refuses(PERSON, 1), "it waits for the attempt, which fails"
    assert seconds_of(lambda: [revoked.refuses(PERSON, 1) for _ in range(100)]) < 0.5
    source.error = None
    source.versions = {PERSON: 3}
    becomes(lambda: revoked.refuses(PERSON, 2))


def test_a_source_that_hangs_makes_one_request_wait_and_not_all(source: Source, clock: Clock):
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 1)
    source.gate.clear()
    clock.ahead = 1.01
    assert seconds_of(lambda: revoked.refuses(PERSON, 1)) < 1.5
    assert seconds_of(lambda: [revoked.refuses(PERSON, 1) for _ in range(100)]) < 0.5
    source.versions = {PERSON: 3}
    source.gate.set()
    becomes(lambda: revoked.refuses(PERSON, 2))


def test_a_source_that_is_always_slow_is_not_waited_for_and_is_read(source: Source, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token_revocation, "INTERVAL_SECONDS", 0.0)  # no reading is quick enough
    monkeypatch.setattr(token_revocation, "MAX_AGE_SECONDS", 0.05)
    revoked = TokenRevocations(source)
    revoked.refuses(PERSON, 1)
    source.gate.clear()
    assert seconds_of(lambda: [revoked.refuses(PERSON, 1) for _ in range(200)]) < 1
    source.versions = {PERSON: 3}
    source.gate.set()
    becomes(lambda: revoked.refuses(PERSON, 2))


def test_after_a_failure_and_a_time_without_requests_it_is_waited_for_again(source: Source, clock: Clock):
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 1)
    source.error = RuntimeError("away")
    clock.ahead = 1.01
    revoked.refuses(PERSON, 1)
    source.error = None
    source.versions = {PERSON: 3}
    clock.ahead = 100.0
    assert revoked.refuses(PERSON, 2), "at once, not by the list of before"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced(source: Source, clock: Clock):
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 1)
    source.error = SystemExit()
    clock.ahead = 1.01
    revoked.refuses(PERSON, 1)
    source.error = None
    source.versions = {PERSON: 3}
    becomes(lambda: revoked.refuses(PERSON, 2))


def test_where_no_thread_can_be_started_requests_are_answered(source: Source, monkeypatch: pytest.MonkeyPatch):
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    revoked = TokenRevocations(source)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert not revoked.refuses(PERSON, 1)
    becomes(lambda: revoked.refuses(PERSON, 1))


def test_a_thread_without_work_ends_and_begins_anew(source: Source, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token_revocation, "IDLE_SECONDS", 0.05)
    revoked = TokenRevocations(source)
    assert revoked.refuses(PERSON, 1)
    thread = revoked._thread
    thread.join(5)
    assert not thread.is_alive()
    assert revoked.refuses(PERSON, 1)
    assert revoked._thread is not thread

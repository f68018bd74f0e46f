"""The circuit breaker: when it opens, which call is the trial, when it closes. On a test clock."""

import pytest

from apps.core.seam.client import breaker as breakers
from apps.core.seam.client.breaker import Admission, Breaker


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(breakers.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def opened(breaker: Breaker) -> Breaker:
    for _ in range(5):
        assert breaker.admits() is Admission.CALL
        breaker.failed(was=Admission.CALL)
    return breaker


def test_five_failures_in_a_row_open_the_breaker_and_one_caller_tries_after_a_pause(clock: Clock):
    breaker = opened(Breaker("t"))
    assert breaker.is_open
    assert breaker.admits() is Admission.NONE
    clock.now += breakers.FIRST_PAUSE_SECONDS
    assert breaker.admits() is Admission.TRIAL
    assert breaker.admits() is Admission.NONE  # only one at a time
    breaker.succeeded()
    assert breaker.admits() is Admission.CALL
    assert not breaker.is_open


def test_each_failed_trial_doubles_the_pause_up_to_a_bound(clock: Clock):
    breaker = opened(Breaker("t"))
    pauses = []
    for _ in range(5):
        waited = 0.0
        while breaker.admits() is Admission.NONE:
            clock.now += 0.25
            waited += 0.25
        pauses.append(waited)
        breaker.failed(was=Admission.TRIAL)
    assert pauses == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_the_pause(clock: Clock):
    breaker = opened(Breaker("t"))
    for _ in range(8):
        breaker.failed(was=Admission.CALL)
    clock.now += breakers.FIRST_PAUSE_SECONDS
    assert breaker.admits() is Admission.TRIAL


def test_a_trial_that_never_ends_does_not_keep_the_breaker_open_for_ever(clock: Clock):
    breaker = opened(Breaker("t"))
    clock.now += breakers.FIRST_PAUSE_SECONDS
    assert breaker.admits() is Admission.TRIAL  # and its thread dies
    clock.now += breakers.FIRST_PAUSE_SECONDS
    assert breaker.admits() is Admission.TRIAL


def test_a_side_that_fails_every_second_time_opens_it_too(clock: Clock):
    breaker = Breaker("t")
    for _ in range(10):
        breaker.failed(was=Admission.CALL)
        if not breaker.is_open:
            breaker.succeeded()
    assert breaker.is_open


def test_single_failures_among_successes_do_not(clock: Clock):
    breaker = Breaker("t")
    for _ in range(30):
        breaker.failed(was=Admission.CALL)
        for _ in range(4):
            breaker.succeeded()
    assert not breaker.is_open

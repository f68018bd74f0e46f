"""The lock-out against guessing by the clock, in this process: five failures in fifteen minutes, for fifteen minutes."""

import secrets
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connections
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION, Refusal, Refused, SignedIn, TokenPair
from apps.authentication.logic import lockout
from apps.authentication.models import LogInFailure
from apps.core.database.primaries import database_of
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from tests.world import PASSWORD, World

BAD = Refused(reason=Refusal.BAD_CREDENTIALS)
QUARTER = timedelta(minutes=15)


def guess(here: World, email: str, password: str = "wrong-password", *, by: str = "log_in"):
    return getattr(call(AUTHENTICATION), by)(ctx=here.ctx(), email=email, password=password)


def failures(email: str, *at: datetime) -> None:
    for moment in at:
        LogInFailure.objects.create(email=email, at=moment)


def address() -> str:
    return f"{secrets.token_hex(6)}@test.example"


@pytest.mark.parametrize("by", ["log_in", "sign_in"])
def test_the_fifth_failure_locks_and_a_locked_address_counts_no_further(here: World, by: str):
    person = here.person()
    assert [guess(here, person.email, by=by) for _ in range(5)] == [BAD] * 5
    for _ in range(3):
        answer = guess(here, person.email, PASSWORD, by=by)
        assert (answer.reason, 890 <= answer.retry_after_seconds <= 900) == (Refusal.LOCKED_OUT, True)
    assert LogInFailure.objects.filter(email=person.email).count() == 5


def test_guesses_at_the_same_time_are_counted_one_by_one(here: World):
    person, start = here.person(), threading.Barrier(8)

    def try_one(_: int):
        with registry.routed_by(here.resolve):
            start.wait(10)
            try:
                return guess(here, person.email).reason
            finally:
                connections[database_of("authentication")].close()

    with ThreadPoolExecutor(8) as pool:
        reasons = Counter(pool.map(try_one, range(8)))
    assert reasons == {Refusal.BAD_CREDENTIALS: 5, Refusal.LOCKED_OUT: 3}
    assert LogInFailure.objects.filter(email=person.email).count() == 5


@pytest.mark.parametrize(("by", "kind"), [("log_in", TokenPair), ("sign_in", SignedIn)])
def test_a_success_resets_the_count(here: World, by: str, kind: type):
    person = here.person()
    for _ in range(2):
        assert [guess(here, person.email, by=by) for _ in range(4)] == [BAD] * 4
        assert isinstance(guess(here, person.email, PASSWORD, by=by), kind)


def test_an_address_of_no_account_is_counted_alike(here: World):
    email = address()
    assert [guess(here, email) for _ in range(5)] == [BAD] * 5
    assert guess(here, email).reason is Refusal.LOCKED_OUT


def test_the_lock_ends_fifteen_minutes_after_the_oldest_of_the_last_five_failures():
    email, begin = address(), timezone.now()
    moments = [begin + timedelta(minutes=minute) for minute in (0, 1, 2, 3, 4, 5)]
    failures(email, *moments[:5])
    assert lockout.seconds_left(email, begin + timedelta(minutes=5)) == 600
    assert lockout.seconds_left(email, begin + QUARTER - timedelta(seconds=0.5)) == 1
    assert lockout.seconds_left(email, begin + QUARTER) == 0
    failures(email, moments[5])
    assert lockout.seconds_left(email, begin + timedelta(minutes=6)) == 600


def test_four_failures_lock_nothing():
    email, now = address(), timezone.now()
    failures(email, *[now] * 4)
    assert lockout.seconds_left(email, now) == 0


def test_a_failure_removes_those_of_the_address_that_no_longer_count(here: World):
    person, now = here.person(), timezone.now()
    failures(person.email, now - QUARTER, *[now - timedelta(minutes=14)] * 3)
    assert guess(here, person.email) == BAD
    assert LogInFailure.objects.filter(email=person.email).count() == 4


def test_old_failures_of_any_address_are_forgotten(here: World):
    old, recent, now = address(), address(), timezone.now()
    failures(old, now - QUARTER - timedelta(seconds=1))
    failures(recent, now - QUARTER + timedelta(minutes=1))
    assert call(AUTHENTICATION).forget(ctx=here.ctx()).failures >= 1
    assert not LogInFailure.objects.filter(email=old).exists()
    assert LogInFailure.objects.filter(email=recent).exists()

"""The lock-out against guessing by the clock, in this process: by address and source, longer each time."""

import secrets
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION, Refusal, Refused, SignedIn, TokenPair
from apps.authentication.logic import devices, lockout
from apps.authentication.models import LogInFailure, User
from apps.core.database.primaries import database_of
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from tests.world import PASSWORD, World

BAD = Refused(reason=Refusal.BAD_CREDENTIALS)
HERE, THERE = "192.0.2.1", "198.51.100.7"
NETWORK = lockout.source_of(HERE, None)


def guess(
    here: World,
    email: str,
    password: str = "wrong-password",
    *,
    by: str = "log_in",
    network: str = HERE,
    device: str = "",
):
    ctx = msgspec.structs.replace(here.ctx(), network=network)
    return getattr(call(AUTHENTICATION), by)(ctx=ctx, email=email, password=password, device_token=device)


def failures(email: str, *at: datetime, source: str = HERE) -> None:
    for moment in at:
        LogInFailure.objects.create(email=email, at=moment, source=source)


def address() -> str:
    return f"{secrets.token_hex(6)}@test.example"


@pytest.mark.parametrize("by", ["log_in", "sign_in"])
def test_the_fifth_failure_locks_and_a_locked_address_counts_no_further(here: World, by: str):
    person = here.person()
    assert [guess(here, person.email, by=by) for _ in range(5)] == [BAD] * 5
    for _ in range(3):
        answer = guess(here, person.email, PASSWORD, by=by)
        assert (answer.reason, 50 <= answer.retry_after_seconds <= 60) == (Refusal.LOCKED_OUT, True)
    assert LogInFailure.objects.filter(email=person.email).count() == 5


@pytest.mark.parametrize("by", ["log_in", "sign_in"])
def test_a_lock_of_one_network_keeps_nobody_else_out(here: World, by: str):
    person = here.person()
    for _ in range(6):
        guess(here, person.email, by=by, network=THERE)
    assert guess(here, person.email, PASSWORD, by=by, network=THERE).reason is Refusal.LOCKED_OUT
    assert not isinstance(guess(here, person.email, PASSWORD, by=by), Refused)
    assert guess(here, person.email, PASSWORD, by=by, network=THERE).reason is Refusal.LOCKED_OUT, "nor does it open"


@pytest.mark.parametrize(("first", "then"), [("log_in", "sign_in"), ("sign_in", "log_in")])
def test_a_device_that_has_logged_in_is_not_locked_by_others(here: World, first: str, then: str):
    person, other = here.person(), here.person()
    device = guess(here, person.email, PASSWORD, by=first).device_token
    others = guess(here, other.email, PASSWORD, by=first).device_token
    now = timezone.now()
    for number in range(100):
        failures(person.email, now, source=f"203.0.113.{number}")
    failures(person.email, *[now] * 5)
    for token in ("", others, device[:-2], "x", device + "AA", "\x00"):
        assert guess(here, person.email, PASSWORD, by=then, device=token).reason is Refusal.LOCKED_OUT
    answer = guess(here, person.email, PASSWORD, by=then, device=device)
    assert answer.device_token == device, "it stays the same device"
    for _ in range(20):
        assert guess(here, person.email, by=then, device=device) == BAD
    assert guess(here, person.email, PASSWORD, by=then, device=device).reason is Refusal.LOCKED_OUT, (
        "by its own failures"
    )


def test_a_device_is_known_by_its_token_as_it_was_given(here: World):
    person, unknown = here.person(), address()
    device = guess(here, person.email, PASSWORD).device_token
    row = User.objects.get(id=person.id)
    assert devices.device_of(device, row) is not None
    assert len(device) == 43, "an id and a MAC of 16 bytes each, in base64"
    for text in (f"{device[:5]}!!!!{device[5:]}", f" {device}", device.replace(device[0], "é", 1)):
        assert devices.device_of(text, row) is None
    assert guess(here, unknown, device=device) == BAD


def test_a_devices_token_ends_with_the_password(here: World):
    person = here.person()
    device = guess(here, person.email, PASSWORD).device_token
    row = User.objects.get(id=person.id)
    row.set_password("another-horse-battery")
    row.save()
    failures(person.email, *[timezone.now()] * 5)
    assert guess(here, person.email, "another-horse-battery", device=device).reason is Refusal.LOCKED_OUT


def test_a_repeated_log_in_gives_the_same_device(here: World):
    person, ctx = here.person(), here.ctx(key=secrets.token_hex(8))
    for by in (call(AUTHENTICATION).log_in, call(AUTHENTICATION).sign_in):
        first, again = (by(ctx=ctx, email=person.email, password=PASSWORD) for _ in range(2))
        assert first == again
        assert first.device_token


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


@pytest.mark.parametrize(("count", "minutes"), [(5, 1), (6, 2), (7, 4), (10, 32), (11, 60), (40, 60)])
def test_each_failure_more_locks_twice_as_long_up_to_an_hour(count: int, minutes: int):
    email, last = address(), timezone.now()
    failures(email, *[last - timedelta(seconds=number) for number in range(count)])
    assert lockout.seconds_left(email, NETWORK, last) == minutes * 60
    assert lockout.seconds_left(email, NETWORK, last + timedelta(minutes=minutes, seconds=-0.5)) == 1
    assert lockout.seconds_left(email, NETWORK, last + timedelta(minutes=minutes)) == 0


def test_guesses_of_many_networks_lock_all_of_them_for_an_hour():
    email, first = address(), timezone.now()
    for number in range(99):
        failures(email, first + timedelta(seconds=number), source=f"203.0.113.{number}")
    last = first + timedelta(minutes=2)
    assert lockout.seconds_left(email, NETWORK, last) == 0
    failures(email, last, source=THERE)
    assert lockout.seconds_left(email, NETWORK, last) == 3600 - 120
    assert lockout.seconds_left(email, NETWORK, first + timedelta(hours=1)) == 0
    assert lockout.seconds_left(address(), NETWORK, last) == 0


def test_guesses_from_the_many_networks_of_one_customer_lock_his_alone():
    email, first = address(), timezone.now()
    networks = [f"2001:db8:0:{number:x}::/64" for number in range(200)]
    for number, name in enumerate(networks[:19]):
        failures(email, first + timedelta(seconds=number), source=name)
    last = first + timedelta(minutes=2)
    inside, outside = (lockout.source_of(name, None) for name in ("2001:db8:0:ffff::/64", "2001:db8:1::/64"))
    assert lockout.seconds_left(email, inside, last) == 0
    failures(email, last, source=networks[19])
    assert lockout.seconds_left(email, inside, last) == 3600 - 120
    for name in networks[20:]:
        failures(email, last, source=name)
    assert lockout.seconds_left(email, inside, last) == 3600
    assert lockout.seconds_left(email, outside, last) == lockout.seconds_left(email, NETWORK, last) == 0
    assert lockout.seconds_left(email, inside, last + timedelta(hours=1)) == 0
    for number in range(90):
        assert lockout.seconds_left(email, outside, last) == 0
        failures(email, last, source=f"203.0.113.{number}")
    assert lockout.seconds_left(email, outside, last) == 3600, "ten of the customer count for all"


def test_four_failures_lock_nothing():
    email, now = address(), timezone.now()
    failures(email, *[now] * 4)
    failures(email, *[now] * 4, source=THERE)
    assert lockout.seconds_left(email, NETWORK, now) == 0


def test_a_failure_removes_those_of_the_address_that_no_longer_count(here: World):
    person, now = here.person(), timezone.now()
    failures(person.email, now - timedelta(hours=24), *[now - timedelta(hours=23)] * 3)
    assert guess(here, person.email) == BAD
    assert LogInFailure.objects.filter(email=person.email).count() == 4


def test_old_failures_of_any_address_are_forgotten(here: World):
    old, recent, now = address(), address(), timezone.now()
    failures(old, now - timedelta(hours=24) - timedelta(seconds=1))
    failures(recent, now - timedelta(hours=24) + timedelta(minutes=1))
    assert call(AUTHENTICATION).forget(ctx=here.ctx()).failures >= 1
    assert not LogInFailure.objects.filter(email=old).exists()
    assert LogInFailure.objects.filter(email=recent).exists()

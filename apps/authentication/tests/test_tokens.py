"""Refresh tokens by the clock, in this process: grace, expiry, families, forgery; and what an access token says."""

import base64
import secrets
import unicodedata
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import jwt
import msgspec
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connections, transaction
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION, Refusal, Refused, Role, TokenPair
from apps.authentication.logic import passwords, rotation, tokens
from apps.authentication.models import RefreshToken, User
from apps.core.database.primaries import database_of
from apps.core.rest.keys import keyring
from apps.core.seam.client.registry import call
from tests.world import PASSWORD, World

INVALID = Refused(reason=Refusal.TOKEN_INVALID)
REUSED = Refused(reason=Refusal.TOKEN_REUSED)
INSTANT = timedelta(microseconds=1)


def test_a_record_of_the_release_before_gives_a_token_that_any_revocation_ends(here: World):
    record = {"type": "issued", "user_id": uuid.uuid4(), "roles": ["buyer"], "locale": "ru", "refresh_id": uuid.uuid4()}
    stored = msgspec.json.encode({**record, "issued_at": timezone.now()})
    token = tokens.pair(msgspec.json.decode(stored, type=tokens.Issued)).access_token
    assert jwt.decode(token, options={"verify_signature": False})["version"] == 0


def log_in(here: World, person, **context: str) -> TokenPair:
    pair = call(AUTHENTICATION).log_in(ctx=here.ctx(**context), email=person.email, password=PASSWORD)
    assert isinstance(pair, TokenPair)
    return pair


@pytest.mark.parametrize("by", ["log_in", "sign_in"])
@pytest.mark.parametrize(
    "change", [{"password": make_password("new-horse")}, {"is_active": False}], ids=["new", "blocked"]
)
def test_a_log_in_overtaken_by_a_change_opens_nothing(
    here: World, monkeypatch: pytest.MonkeyPatch, by: str, change: dict
):
    person = here.person()
    check = passwords.matches

    def overtaken(user: User | None, password: str) -> bool:
        is_right = check(user, password)
        User.objects.filter(id=person.id).update(**change)
        return is_right

    monkeypatch.setattr(passwords, "matches", overtaken)
    answer = getattr(call(AUTHENTICATION), by)(ctx=here.ctx(), email=person.email, password=PASSWORD)
    assert answer == Refused(reason=Refusal.BAD_CREDENTIALS)
    assert not RefreshToken.objects.filter(user_id=person.id).exists()


@pytest.mark.parametrize(
    "typed", ["plain-horse", "ёж-и-йод", unicodedata.normalize("NFD", "ёж-и-йод"), "ё" + "е\u0308"]
)
def test_a_stranger_costs_as_many_hashes_as_a_person(here: World, monkeypatch: pytest.MonkeyPatch, typed: str):
    hashes: list[str] = []
    for name in ("make_password", "check_password"):
        monkeypatch.setattr(passwords, name, lambda text, *_, **__: hashes.append(text))
    passwords.matches(User(password="x"), typed)
    person, hashes[:] = sorted(hashes), []
    passwords.matches(None, typed)
    assert sorted(hashes) == person


def refresh(here: World, token: str):
    return call(AUTHENTICATION).refresh(ctx=here.ctx(), refresh_token=token)


def rotated(token: str, now: datetime):
    with transaction.atomic(using=database_of("authentication")):
        return rotation.rotate(tokens.read_refresh_token(token), now)


def row(token: str) -> RefreshToken:
    return RefreshToken.objects.get(id=tokens.read_refresh_token(token))


def test_a_replaced_token_gives_its_successor_for_ten_seconds_and_then_counts_as_stolen(here: World):
    first = log_in(here, here.person())
    second = refresh(here, first.refresh_token)
    replaced_at = row(first.refresh_token).replaced_at
    _, again = rotated(first.refresh_token, replaced_at + timedelta(seconds=10))
    assert again == tokens.read_refresh_token(second.refresh_token)
    assert rotated(first.refresh_token, replaced_at + timedelta(seconds=10) + INSTANT) == REUSED
    assert refresh(here, second.refresh_token) == INVALID


def test_a_replaced_token_is_stolen_once_its_successor_was_used(here: World):
    first = log_in(here, here.person())
    second = refresh(here, first.refresh_token)
    third = refresh(here, second.refresh_token)
    assert rotated(first.refresh_token, row(first.refresh_token).replaced_at) == REUSED
    assert refresh(here, third.refresh_token) == INVALID


def test_a_token_lives_thirty_days(here: World):
    person = here.person()
    pair = log_in(here, person)
    expires_at = row(pair.refresh_token).expires_at
    assert timedelta(days=30) - timedelta(minutes=1) < expires_at - timezone.now() <= timedelta(days=30)
    assert rotated(pair.refresh_token, expires_at) == INVALID
    owner, _ = rotated(pair.refresh_token, expires_at - INSTANT)
    assert owner.id == person.id


def test_a_successor_lives_thirty_days_anew(here: World):
    first = log_in(here, here.person())
    now = timezone.now() + timedelta(days=20)
    _, successor = rotated(first.refresh_token, now)
    assert RefreshToken.objects.get(id=successor).expires_at == now + timedelta(days=30)


def test_a_blocked_person_is_refused_however_the_block_was_recorded(here: World):
    """The block alone refuses, also where it was made in the table and revoked nothing."""
    person = here.person()
    pair = log_in(here, person)
    User.objects.filter(id=person.id).update(is_active=False)
    assert refresh(here, pair.refresh_token) == INVALID
    assert call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password=PASSWORD) == Refused(
        reason=Refusal.BAD_CREDENTIALS
    )
    User.objects.filter(id=person.id).update(is_active=True)
    assert isinstance(refresh(here, pair.refresh_token), TokenPair)


def waiting(work: Callable[[], object]) -> Future:
    """Work in another thread; returns when it waits for a lock of this thread's transaction, or has ended."""

    def done() -> object:
        try:
            return work()
        finally:
            connections[database_of("authentication")].close()

    answer = ThreadPoolExecutor(1).submit(done)
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
    with connections[database_of("authentication")].cursor() as cursor:
        while not answer.done():
            cursor.execute(query)
            if cursor.fetchone()[0]:
                return answer
    return answer


def test_a_log_out_waits_for_a_refresh_and_revokes_what_it_made(here: World):
    first = refresh(here, log_in(here, here.person()).refresh_token)
    revoke = partial(rotation.revoke_family_of, tokens.read_refresh_token(first.refresh_token), timezone.now())

    def log_out() -> None:
        with transaction.atomic(using=database_of("authentication")):
            revoke()

    with transaction.atomic(using=database_of("authentication")):
        _, successor = rotation.rotate(tokens.read_refresh_token(first.refresh_token), timezone.now())
        ended = waiting(log_out)
        assert not ended.done()
    ended.result(30)
    assert RefreshToken.objects.get(id=successor).revoked_at is not None


def test_a_refresh_waits_for_a_log_out_and_is_refused(here: World):
    first = refresh(here, log_in(here, here.person()).refresh_token)
    with transaction.atomic(using=database_of("authentication")):
        rotation._lock(row(first.refresh_token).family)
        answer = waiting(lambda: rotated(first.refresh_token, timezone.now()))
        assert not answer.done()
        rotation.revoke_family_of(tokens.read_refresh_token(first.refresh_token), timezone.now())
    assert answer.result(30) == INVALID


def test_a_block_revokes_every_session_for_good(here: World):
    person = here.person()
    pairs = [log_in(here, person) for _ in range(2)]
    for is_active in (False, True):
        call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=is_active)
    assert [refresh(here, pair.refresh_token) for pair in pairs] == [INVALID] * 2
    pair = log_in(here, person)
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=person.id, is_active=True)
    assert isinstance(refresh(here, pair.refresh_token), TokenPair)


def test_logging_out_ends_one_session(here: World):
    person = here.person()
    one, other = log_in(here, person), log_in(here, person)
    newer = refresh(here, one.refresh_token)
    call(AUTHENTICATION).log_out(ctx=here.ctx(), refresh_token=one.refresh_token)
    assert refresh(here, newer.refresh_token) == INVALID
    assert isinstance(refresh(here, other.refresh_token), TokenPair)
    revoked_at = row(one.refresh_token).revoked_at
    call(AUTHENTICATION).log_out(ctx=here.ctx(), refresh_token=newer.refresh_token)
    assert row(one.refresh_token).revoked_at == revoked_at
    call(AUTHENTICATION).log_out(ctx=here.ctx(), refresh_token="Zm9yZ2Vk")


def test_a_repeated_log_in_gives_the_same_tokens_until_they_are_revoked(here: World):
    person, key = here.person(), secrets.token_hex(8)
    first = log_in(here, person, key=key)
    assert log_in(here, person, key=key) == first
    call(AUTHENTICATION).log_out(ctx=here.ctx(), refresh_token=first.refresh_token)
    again = call(AUTHENTICATION).log_in(ctx=here.ctx(key=key), email=person.email, password=PASSWORD)
    assert again == INVALID


def test_a_refresh_token_is_an_id_and_a_mac(here: World):
    pair = log_in(here, here.person())
    token = pair.refresh_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert len(raw) == 48
    encode = lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
    other_mac = encode(raw[:16] + bytes(32))
    other_id = encode(uuid.uuid4().bytes + raw[16:])
    flipped = encode(raw[:-1] + bytes([raw[-1] ^ 1]))
    for forged in (
        other_mac,
        other_id,
        flipped,
        encode(raw[:-1]),
        encode(raw + b"\0"),
        encode(raw[:16]),
        f"{token}!",
        "a",
    ):
        assert refresh(here, forged) == INVALID, forged
    assert isinstance(refresh(here, token), TokenPair)


def test_a_token_of_a_session_that_was_forgotten_is_invalid(here: World):
    pair = log_in(here, here.person())
    RefreshToken.objects.filter(id=tokens.read_refresh_token(pair.refresh_token)).delete()
    assert refresh(here, pair.refresh_token) == INVALID


def test_an_access_token_says_who_in_which_roles_for_five_minutes(here: World):
    person = here.person(Role.LAWYER)
    before = timezone.now().replace(microsecond=0)
    pair = log_in(here, person)
    key = keyring.public[jwt.get_unverified_header(pair.access_token)["kid"]]
    claims = jwt.decode(pair.access_token, key, algorithms=["RS256"], audience=settings.SIMPLE_JWT["AUDIENCE"])
    assert (claims["sub"], claims["roles"], claims["locale"]) == (str(person.id), ["lawyer"], "ru")
    assert claims["iss"] == settings.SIMPLE_JWT["ISSUER"]
    assert claims["exp"] - claims["iat"] == pair.expires_in == 300
    assert before.timestamp() <= claims["iat"] <= timezone.now().timestamp()
    assert claims["jti"] == tokens.read_refresh_token(pair.refresh_token).hex
    assert (
        jwt.decode(
            log_in(here, person).access_token, key, algorithms=["RS256"], audience=settings.SIMPLE_JWT["AUDIENCE"]
        )["jti"]
        != claims["jti"]
    )


@pytest.mark.parametrize(("hours", "is_kept"), [(23, True), (25, False)])
def test_a_token_is_forgotten_a_day_after_it_expired(here: World, hours: int, is_kept: bool):
    pair = log_in(here, here.person())
    token = row(pair.refresh_token)
    RefreshToken.objects.filter(id=token.id).update(expires_at=timezone.now() - timedelta(hours=hours))
    report = call(AUTHENTICATION).forget(ctx=here.ctx())
    assert RefreshToken.objects.filter(id=token.id).exists() is is_kept
    assert report.tokens >= (not is_kept)

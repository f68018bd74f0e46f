"""The seal of a call, computed by hand beside it; its age by the millisecond; secrets and their order."""

import hashlib
import hmac
import time

import pytest

from apps.core.seam import signing

SEALED = {"caller": "a", "callee": "b", "method": "POST", "path": "/x", "body": "тело".encode()}
NOW_MS = 1_767_225_600_000


@pytest.fixture
def secret(settings) -> bytes:
    settings.SEAM_MASTER_SECRETS, settings.SEAM_PAIR_SECRETS = ["correct horse"], {}
    return hmac.digest(b"correct horse", b"a>b", "sha256")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch):
    """Sets the clock, in milliseconds."""
    return lambda at_ms: monkeypatch.setattr(time, "time_ns", lambda: at_ms * 1_000_000 + 999_999)


def test_a_seal_is_an_hmac_over_method_path_time_and_digest(secret: bytes, now):
    now(NOW_MS)
    digest = hashlib.sha256("тело".encode()).hexdigest()
    expected = hmac.new(secret, f"v1\nPOST\n/x\n{NOW_MS}\n{digest}".encode(), "sha256").hexdigest()
    assert signing.seal(**SEALED) == (str(NOW_MS), f"v1={expected}")
    assert signing.seal(**SEALED, at_ms=7)[0] == "7"


@pytest.mark.parametrize(("later_ms", "is_good"), [(30_000, True), (30_001, False), (-30_000, True), (-30_001, False)])
def test_a_seal_is_good_for_thirty_seconds_either_way(secret: bytes, now, later_ms: int, is_good: bool):
    at, signature = signing.seal(**SEALED, at_ms=NOW_MS)
    now(NOW_MS + later_ms)
    if is_good:
        signing.check(**SEALED, at=at, signature=signature)
    else:
        with pytest.raises(signing.BadSeal):
            signing.check(**SEALED, at=at, signature=signature)


@pytest.mark.parametrize("name", ["caller", "callee", "method", "path", "body"])
def test_a_seal_is_of_this_request_alone(secret: bytes, now, name: str):
    now(NOW_MS)
    at, signature = signing.seal(**SEALED)
    other = SEALED | {name: b"other" if name == "body" else "other"}
    with pytest.raises(signing.BadSeal):
        signing.check(**other, at=at, signature=signature)
    with pytest.raises(signing.BadSeal):
        signing.check(**SEALED, at=str(NOW_MS + 1), signature=signature)


@pytest.mark.parametrize("at", ["", "-1", "1.5", "١٢", "1e3", " 1", "9" * 16, "9" * 5000])
def test_a_time_is_a_number_of_ascii_digits(secret: bytes, now, at: str):
    now(NOW_MS)
    with pytest.raises(signing.BadSeal):
        signing.check(**SEALED, at=at, signature="v1=x")


@pytest.mark.parametrize("signature", ["", "v1=", "v2=0", "Я", "\udcff"])
def test_a_signature_of_another_form_is_bad(secret: bytes, now, signature: str):
    now(NOW_MS)
    with pytest.raises(signing.BadSeal):
        signing.check(**SEALED, at=str(NOW_MS), signature=signature)


def test_the_first_secret_of_a_pair_signs_and_each_verifies(settings, now):
    now(NOW_MS)
    settings.SEAM_PAIR_SECRETS = {"a>b": ["aa" * 32, "bb" * 32]}
    assert signing.secrets_of("a", "b") == (b"\xaa" * 32, b"\xbb" * 32)
    with_both = signing.seal(**SEALED)
    seals = []
    for only in ("aa", "bb"):
        settings.SEAM_PAIR_SECRETS = {"a>b": [only * 32]}
        seals.append(signing.seal(**SEALED))
    assert with_both == seals[0] != seals[1]
    settings.SEAM_PAIR_SECRETS = {"a>b": ["aa" * 32, "bb" * 32]}
    for at, signature in seals:
        signing.check(**SEALED, at=at, signature=signature)


def test_a_pair_that_is_configured_needs_no_master_secret(secret: bytes, settings):
    assert signing.secrets_of("a", "b") == (secret,)
    settings.SEAM_PAIR_SECRETS = {"a>b": []}
    assert signing.secrets_of("a", "b") == ()
    assert signing.secrets_of("b", "a") == (hmac.digest(b"correct horse", b"b>a", "sha256"),)


def test_a_service_gets_the_secrets_of_its_own_pairs(settings):
    settings.SEAM_MASTER_SECRETS, settings.SEAM_PAIR_SECRETS = ["one", "two"], {}
    pairs = signing.pairs_of("documents", ["contracts", "documents", "signatures"])
    assert list(pairs) == [
        "monolith>documents",
        "contracts>documents",
        "signatures>documents",
        "documents>contracts",
        "documents>signatures",
    ]
    assert pairs["contracts>documents"] == [
        hmac.digest(master, b"contracts>documents", "sha256").hex() for master in (b"one", b"two")
    ]


def test_secrets_are_remembered_within_bounds():
    for cache in (signing._pair_secret, signing._from_hex, signing._keyed):
        assert cache.cache_info().maxsize == 256

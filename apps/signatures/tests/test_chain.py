"""When a certificate is accepted for signing (RFC 5280, section 6): dates, path, use and revocation, by the second."""

import socket
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apps.signatures.interface import SubIndication, Verdict
from apps.signatures.logic.chain import ChainFailure, require_trusted
from apps.signatures.tests.certificates import DAY, NOW, Issued, authority, issue, name, revocations

S = SubIndication
SECOND = timedelta(seconds=1)
ROOT = authority("Root")


def why(*chain: Issued, anchors=(ROOT,), lists=(), at=NOW) -> tuple[SubIndication, Verdict] | None:
    """Why a chain is not accepted, the signer's certificate first; None when it is."""
    try:
        require_trusted(
            [issued.certificate for issued in chain],
            anchors=[anchor.certificate for anchor in anchors],
            revocations=[crl.public_bytes(Encoding.DER) for crl in lists],
            at=at,
        )
    except ChainFailure as failure:
        return failure.sub_indication, failure.verdict
    return None


def failed(reason: SubIndication) -> tuple[SubIndication, Verdict]:
    return reason, Verdict.FAILED


def test_a_certificate_is_valid_from_its_first_second_to_its_last():
    signer = issue(name("Seller"), ROOT, begins=NOW - DAY + SECOND, ends=NOW + DAY)
    assert why(signer, at=NOW - DAY) == failed(S.NOT_YET_VALID)
    assert why(signer, at=NOW - DAY + SECOND) is None
    assert why(signer, at=NOW + DAY) is None
    assert why(signer, at=NOW + DAY + SECOND) == failed(S.EXPIRED)


def test_an_authority_between_is_needed_and_has_dates_of_its_own():
    between = authority("Between", ROOT)
    signer = issue(name("Seller"), between)
    assert why(signer, between) is None
    assert why(signer) == failed(S.NO_CERTIFICATE_CHAIN_FOUND)
    assert why(signer, between, anchors=()) == failed(S.NO_CERTIFICATE_CHAIN_FOUND)
    old = authority("Old", ROOT, begins=NOW - 9 * DAY, ends=NOW - DAY)
    assert why(issue(name("Seller"), old), old) == failed(S.EXPIRED)
    early = authority("Early", ROOT, begins=NOW + DAY)
    assert why(issue(name("Seller"), early), early) == failed(S.NOT_YET_VALID)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_an_address_inside_a_certificate_is_not_visited(monkeypatch: pytest.MonkeyPatch, is_trusted: bool):
    """Otherwise a stranger's certificate sends this server to an address of the stranger's choice."""
    visited: list[object] = []

    def look_up(host: object, *_: object, **__: object) -> list[object]:
        visited.append(host)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    signer = issue(name("Seller"), ROOT if is_trusted else authority("Stranger"), found_at="http://inside.example/ca")
    assert why(signer) == (None if is_trusted else failed(S.NO_CERTIFICATE_CHAIN_FOUND))
    assert visited == []


def test_the_dates_of_the_signer_come_before_the_lists_of_the_authority():
    between = authority("Between", ROOT)
    old = issue(name("Seller"), between, begins=NOW - 9 * DAY, ends=NOW - DAY)
    early = issue(name("Seller"), between, begins=NOW + DAY, ends=NOW + 9 * DAY)
    outdated = revocations(ROOT, next_update=NOW - DAY)
    assert why(old, between, lists=[outdated]) == failed(S.EXPIRED)
    assert why(early, between, lists=[outdated]) == failed(S.NOT_YET_VALID)


def test_a_person_issues_no_certificate():
    person = issue(name("Person"), ROOT)
    assert why(issue(name("Seller"), person), person) == failed(S.CHAIN_CONSTRAINTS_FAILURE)
    last = authority("Last", ROOT, path_length=0)
    below = authority("Below", last)
    assert why(issue(name("Seller"), below), below, last) == failed(S.CHAIN_CONSTRAINTS_FAILURE)


def test_a_certificate_of_an_impostor_does_not_fit_the_authority():
    impostor = authority("Root")
    assert why(issue(name("Seller"), impostor)) == failed(S.CHAIN_CONSTRAINTS_FAILURE)


@pytest.mark.parametrize(
    ("uses", "is_accepted"),
    [
        (("digital_signature",), True),
        (("content_commitment",), True),
        (("digital_signature", "content_commitment"), True),
        (None, True),
        (("key_encipherment",), False),
        (("key_agreement", "data_encipherment"), False),
    ],
)
def test_a_certificate_has_to_be_meant_for_signing(uses: tuple[str, ...] | None, is_accepted: bool):
    signer = issue(name("Seller"), ROOT, uses=uses)
    assert why(signer) == (None if is_accepted else failed(S.CHAIN_CONSTRAINTS_FAILURE))


def test_a_revoked_certificate_is_refused_by_the_list_of_its_own_authority_only():
    signer, other = issue(name("Seller"), ROOT), authority("Other")
    namesake = issue(name("Namesake"), other, serial=signer.certificate.serial_number)
    empty, of_another = revocations(ROOT), revocations(other, namesake.certificate)
    assert why(signer, lists=[empty, of_another]) is None
    assert why(signer, lists=[of_another, revocations(ROOT, signer.certificate)]) == failed(S.REVOKED)
    assert why(issue(name("Buyer"), ROOT), lists=[revocations(ROOT, signer.certificate)]) is None


def test_a_revoked_authority_between_takes_its_certificates_with_it():
    between = authority("Between", ROOT)
    signer = issue(name("Seller"), between)
    assert why(signer, between, lists=[revocations(ROOT, between.certificate)]) == failed(S.REVOKED)
    assert why(signer, between, lists=[revocations(between)]) is None


def test_a_list_that_is_out_of_date_says_nothing_for_a_certificate_and_still_something_against_it():
    signer = issue(name("Seller"), ROOT)
    later = (S.TRY_LATER, Verdict.INDETERMINATE)
    assert why(signer, lists=[revocations(ROOT, next_update=NOW)]) is None
    assert why(signer, lists=[revocations(ROOT, next_update=NOW - SECOND)]) == later
    assert why(signer, lists=[revocations(ROOT, signer.certificate, next_update=NOW - SECOND)]) == failed(S.REVOKED)
    of_another = revocations(authority("Other"), next_update=NOW - SECOND)
    assert why(signer, lists=[of_another]) is None


def test_what_no_parser_reads_is_a_format_failure():
    signer = issue(name("Seller"), ROOT)
    with pytest.raises(ChainFailure) as refusal:
        require_trusted([signer.certificate], anchors=[ROOT.certificate], revocations=[b"no list"], at=NOW)
    assert refusal.value.sub_indication is S.FORMAT_FAILURE

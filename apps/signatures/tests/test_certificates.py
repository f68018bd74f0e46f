"""Reading certificates and revocation lists: forms, bounds, addresses; of two lists the newer stays."""

import base64
from datetime import timedelta

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from apps.core.database.primaries import database_of
from apps.signatures.interface import BadCertificate, BadRevocationList
from apps.signatures.logic import certificates, revocation
from apps.signatures.models import RevocationList
from apps.signatures.tests.certificates import DAY, NOW, authority, issue, name, revocations


def test_a_chain_keeps_its_order_and_has_at_most_six_links():
    links = [issue(name(str(number))) for number in range(7)]
    pems = [link.pem for link in links]
    chain = certificates.read_chain("".join(pems[:6]))
    assert chain == [link.certificate for link in links[:6]]
    assert certificates.pem(chain) == "".join(pems[:6])
    for text in ("".join(pems), "", "-----BEGIN NOTHING-----"):
        with pytest.raises(BadCertificate):
            certificates.read_chain(text)


def test_a_single_certificate_may_be_base64_of_der_in_lines():
    certificate = issue(name("Signer")).certificate
    text = base64.encodebytes(certificate.public_bytes(Encoding.DER)).decode()
    assert certificates.read_chain(f"  {text}\n") == [certificate]
    with pytest.raises(BadCertificate):
        certificates.read_chain(f"!{text}")


@pytest.mark.parametrize(("bits", "is_read"), [(160, True), (161, False)])
def test_a_serial_number_has_at_most_twenty_octets(bits: int, is_read: bool):
    parsed = asn1_x509.Certificate.load(issue(name("Signer")).certificate.public_bytes(Encoding.DER))
    parsed["tbs_certificate"]["serial_number"] = 1 << (bits - 1)
    text = base64.b64encode(parsed.dump(force=True)).decode()
    if is_read:
        (certificate,) = certificates.read_chain(text)
        assert certificate.serial_number.bit_length() == bits
    else:
        with pytest.raises(BadCertificate):
            certificates.read_chain(text)


def test_the_identity_in_a_certificate():
    issued = issue(name("Щукин Юрий"), authority("Центр"), serial=0xABC)
    info = certificates.info(issued.certificate)
    assert (info.subject, info.issuer, info.serial_number) == ("CN=Щукин Юрий", "CN=Центр", "abc")
    assert (info.not_before, info.not_after) == (NOW - DAY, NOW + 30 * DAY)
    assert len(info.fingerprint) == 64


@pytest.mark.parametrize(("ca", "is_authority"), [(True, True), (False, False), (None, False)])
def test_an_authority_says_so(ca: bool | None, is_authority: bool):
    assert certificates.is_authority(issue(name("X"), ca=ca, uses=None).certificate) is is_authority


def test_addresses_are_those_of_the_subject_and_of_the_alternative_names():
    both = issue(name("X", "First@Test.example"), addresses=("Second@test.example",)).certificate
    assert certificates.addresses(both) == {"first@test.example", "second@test.example"}
    assert certificates.addresses(issue(name("X", "A@test.example")).certificate) == {"a@test.example"}
    assert certificates.addresses(issue(name("X")).certificate) == set()


def pem(crl: x509.CertificateRevocationList) -> str:
    return crl.public_bytes(Encoding.PEM).decode()


def test_a_list_is_read_when_a_known_authority_signed_it():
    one, other, impostor = authority("One"), authority("Other"), authority("One")
    revoked = issue(name("X"), one).certificate
    crl = revocations(one, revoked)
    known = [other.certificate, impostor.certificate, one.certificate]
    for text in (pem(crl), base64.encodebytes(crl.public_bytes(Encoding.DER)).decode()):
        published = revocation.read(text, known)
        assert published.authority == certificates.fingerprint(one.certificate)
        assert ([entry.serial_number for entry in published.crl], published.issuer) == (
            [revoked.serial_number],
            "CN=One",
        )
        assert published.this_update == NOW - DAY
    of_other_kinds = [
        issue(name("One"), authority("One"), ca=True, key=key).certificate
        for key in (
            rsa.generate_private_key(public_exponent=65537, key_size=2048),
            ed25519.Ed25519PrivateKey.generate(),
            x25519.X25519PrivateKey.generate(),
        )
    ]
    assert revocation.read(pem(crl), [*of_other_kinds, one.certificate]).authority == published.authority
    for authorities in ([], [other.certificate], [impostor.certificate], of_other_kinds):
        with pytest.raises(BadRevocationList):
            revocation.read(pem(crl), authorities)
    der = base64.b64encode(crl.public_bytes(Encoding.DER)).decode()
    for rubbish in ("nonsense", f"!{der}", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----", "Я"):
        with pytest.raises(BadRevocationList):
            revocation.read(rubbish, known)


def test_of_two_lists_the_newer_stays_whichever_comes_first():
    one = authority(f"Authority {NOW.timestamp()}")
    fingerprint = certificates.fingerprint(one.certificate)

    def publish(hours: int, *revoked: x509.Certificate) -> int:
        """The number of entries that are stored afterwards."""
        crl = revocations(one, *revoked, updated=NOW - DAY + timedelta(hours=hours))
        with transaction.atomic(using=database_of("signatures")):
            revocation.store_newest(revocation.read(pem(crl), [one.certificate]))
        row = RevocationList.objects.get(authority=fingerprint)
        stored = x509.load_der_x509_crl(bytes(row.der))
        assert row.this_update == stored.last_update_utc
        return len(stored)

    leaf = issue(name("X"), one).certificate
    other = issue(name("Y"), one).certificate
    assert publish(2, leaf) == 1
    assert publish(1) == 1
    assert publish(2, leaf, other) == 2  # issued anew within the second
    assert publish(3) == 0

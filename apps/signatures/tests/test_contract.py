"""The contract of signatures, on all four sides of the seam."""

import base64
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connections

from apps.contracts.interface import CONTRACTS, ContractStatus
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentNotFound
from apps.signatures.interface import (
    SIGNATURES,
    Algorithm,
    BadCertificate,
    BadRevocationList,
    NotAnAuthority,
    NotASigner,
    SignatureNotFound,
    SignatureStatus,
    SubIndication,
    Verdict,
)
from apps.signatures.tests.certificates import NOW, Issued, authority, issue, name, revocations
from landcontracts.demo.certificates import DAY, Authority
from tests.world import World, pdf


class Signing:
    """A seller, a buyer, their contract and a document to sign."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seller, self.buyer = world.person(), world.person()
        self.contract = world.contract(self.seller, self.buyer)
        self.document = world.document(self.seller, self.contract, pdf())
        self.authority = Authority("Test authority")
        call(SIGNATURES).trust(ctx=world.ctx(), name="test", certificate=self.authority.pem())

    def certificate(self, kind: str = "rsa", **options):
        return self.authority.issue("Продавец", self.seller.email, kind, **options)

    def submit(self, signer, value: bytes, *, person=None, certificate: str | None = None):
        return call(SIGNATURES).sign(
            ctx=self.world.ctx(person or self.seller),
            document_id=self.document.id,
            signature_data=value,
            certificate=certificate or signer.pem(),
        )


@pytest.fixture
def signing(world: World) -> Signing:
    return Signing(world)


@pytest.mark.parametrize(
    ("kind", "pss", "algorithm"),
    [
        ("rsa", False, Algorithm.RSA_PKCS1_SHA256),
        ("rsa", True, Algorithm.RSA_PSS_SHA256),
        ("ec", False, Algorithm.ECDSA_SHA256),
        ("ed25519", False, Algorithm.ED25519),
    ],
)
def test_a_right_signature_passes(signing: Signing, kind: str, pss: bool, algorithm: Algorithm):
    signer = signing.certificate(kind)
    signature = signing.submit(signer, signer.sign(pdf(), pss=pss))
    assert signature.verification_result.reason == ""
    assert (signature.status, signature.algorithm) == (SignatureStatus.SIGNED, algorithm)
    assert signature.verification_result.verdict is Verdict.PASSED
    assert signature.certificate.subject == "CN=Продавец"
    ctx = signing.world.ctx(signing.buyer)
    assert call(SIGNATURES).get(ctx=ctx, signature_id=signature.id) == signature
    assert call(SIGNATURES).verify(ctx=ctx, signature_id=signature.id).verdict is Verdict.PASSED
    assert call(SIGNATURES).for_documents(ctx=ctx, document_ids=(signing.document.id,)) == (signature,)


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_a_signature_over_other_bytes_is_kept_as_refused(signing: Signing, kind: str):
    signer = signing.certificate(kind)
    signature = signing.submit(signer, signer.sign(pdf() + b" "))
    assert signature.status is SignatureStatus.REFUSED
    assert signature.verification_result.sub_indication is SubIndication.SIG_CRYPTO_FAILURE
    assert call(SIGNATURES).get(ctx=signing.world.ctx(signing.seller), signature_id=signature.id) == signature


@pytest.mark.parametrize("value", [b"\0", b"x" * 64, b"x" * 256, b"x" * 8192])
def test_rubbish_is_refused_and_not_an_error(signing: Signing, value: bytes):
    for kind in ("rsa", "ec", "ed25519"):
        refused = signing.submit(signing.certificate(kind), value)
        assert refused.verification_result.verdict is Verdict.FAILED


def test_a_certificate_of_an_unknown_authority_does_not_pass(signing: Signing):
    signer = Authority("Unknown authority").issue("Продавец", signing.seller.email, "ec")
    result = signing.submit(signer, signer.sign(pdf())).verification_result
    assert (result.verdict, result.sub_indication) == (Verdict.FAILED, SubIndication.NO_CERTIFICATE_CHAIN_FOUND)


def test_an_impostor_authority_of_the_same_name_does_not_pass(signing: Signing):
    signer = Authority("Test authority").issue("Продавец", signing.seller.email, "ec")
    result = signing.submit(signer, signer.sign(pdf())).verification_result
    assert result.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("begins", "ends", "why"),
    [(-30 * DAY, -DAY, SubIndication.EXPIRED), (timedelta(hours=1), 30 * DAY, SubIndication.NOT_YET_VALID)],
)
def test_a_certificate_outside_its_dates_does_not_pass(signing: Signing, begins, ends, why):
    signer = signing.certificate("ec", begins=begins, ends=ends)
    assert signing.submit(signer, signer.sign(pdf())).verification_result.sub_indication is why


def test_a_certificate_that_is_not_meant_for_signing_does_not_pass(signing: Signing):
    issuer = Issued(signing.authority.key, signing.authority.certificate)
    encryption = issue(name("Продавец"), issuer, uses=("key_encipherment",), addresses=(signing.seller.email,))
    value = encryption.key.sign(pdf(), ec.ECDSA(hashes.SHA256()))
    signature = signing.submit(None, value, certificate=encryption.pem)
    assert signature.status is SignatureStatus.REFUSED
    assert signature.verification_result.sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE


def test_a_chain_is_led_by_its_signer(signing: Signing):
    root = Issued(signing.authority.key, signing.authority.certificate)
    between = authority("Between", root)
    signer = issue(name("Без адреса"), between, uses=("digital_signature",))
    value = signer.key.sign(pdf(), ec.ECDSA(hashes.SHA256()))
    alone = signing.submit(None, value, certificate=signer.pem)
    assert alone.verification_result.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND
    chain = signer.pem + between.pem
    signature = signing.submit(None, value, certificate=chain)
    assert (signature.status, signature.certificate.subject) == (SignatureStatus.SIGNED, "CN=Без адреса")
    taken = signing.submit(None, value, certificate=chain, person=signing.buyer)
    assert taken.verification_result.sub_indication is SubIndication.SIGNER_MISMATCH
    again = call(SIGNATURES).verify(ctx=signing.world.ctx(signing.buyer), signature_id=signature.id)
    assert again.verdict is Verdict.PASSED


def test_an_authority_between_lends_its_certificate_to_nobody(signing: Signing):
    between = authority("Between", Issued(signing.authority.key, signing.authority.certificate))
    signer = issue(name("Продавец"), between, addresses=(signing.seller.email,))
    value = signer.key.sign(pdf(), ec.ECDSA(hashes.SHA256()))
    by_another = signing.submit(None, value, certificate=signer.pem + between.pem, person=signing.buyer)
    assert by_another.verification_result.sub_indication is SubIndication.SIGNER_MISMATCH
    assert signing.submit(None, value, certificate=signer.pem + between.pem).status is SignatureStatus.SIGNED


def test_of_several_certificates_the_first_is_trusted(signing: Signing):
    first, second = authority("First"), authority("Second")
    trusted = call(SIGNATURES).trust(ctx=signing.world.ctx(), name="first", certificate=first.pem + second.pem)
    assert trusted.certificate.subject == "CN=First"


def test_a_weak_key_does_not_pass(signing: Signing):
    root = Issued(signing.authority.key, signing.authority.certificate)
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    signer = issue(name("Продавец"), root, key=key, addresses=(signing.seller.email,))
    value = key.sign(pdf(), padding.PKCS1v15(), hashes.SHA256())
    signature = signing.submit(None, value, certificate=signer.pem)
    assert signature.status is SignatureStatus.REFUSED
    assert signature.verification_result.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE


def test_the_verdict_is_published(here: World):
    signing = Signing(here)
    signer = signing.certificate("ec")
    for body, kind, sub_indication in (
        (pdf(), "signatures.signature_accepted", None),
        (pdf() + b" ", "signatures.signature_refused", "SIG_CRYPTO_FAILURE"),
    ):
        signature = signing.submit(signer, signer.sign(body))
        with connections[database_of("signatures")].cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT type, convert_from(payload, 'UTF8')::json ->> 'signer_id',"
                " convert_from(payload, 'UTF8')::json ->> 'sub_indication' FROM signatures_outbox WHERE aggregate_id = %s",
                [signature.id],
            )
            assert cursor.fetchall() == [(kind, str(signing.seller.id), sub_indication)]


@pytest.mark.parametrize("last", [ContractStatus.CANCELLED, ContractStatus.COMPLETED])
def test_nothing_is_signed_when_the_contract_is_over(signing: Signing, last: ContractStatus):
    steps = (ContractStatus.SIGNED, ContractStatus.IN_REGISTRATION) if last is ContractStatus.COMPLETED else ()
    for status in (*steps, last):
        call(CONTRACTS).change_status(ctx=signing.world.ctx(), contract_id=signing.contract.id, status=status)
    signer = signing.certificate("ec")
    with pytest.raises(NotASigner):
        signing.submit(signer, signer.sign(pdf()))


def test_a_certificate_without_an_address_belongs_to_its_first_signer(signing: Signing):
    signer = signing.authority.issue("Без адреса", None, "ec")
    forged = signing.submit(signer, signer.sign(pdf() + b" "), person=signing.buyer)
    assert forged.status is SignatureStatus.REFUSED  # and did not bind the certificate to the buyer
    assert signing.submit(signer, signer.sign(pdf())).status is SignatureStatus.SIGNED
    again = signing.submit(signer, signer.sign(pdf()))
    assert again.status is SignatureStatus.SIGNED
    taken = signing.submit(signer, signer.sign(pdf()), person=signing.buyer)
    assert (taken.status, taken.verification_result.sub_indication) == (
        SignatureStatus.REFUSED,
        SubIndication.SIGNER_MISMATCH,
    )
    later = call(SIGNATURES).verify(ctx=signing.world.ctx(signing.seller), signature_id=taken.id)
    assert (later.verdict, later.sub_indication) == (Verdict.FAILED, SubIndication.SIGNER_MISMATCH)


def test_an_authority_is_trusted_under_its_last_name(signing: Signing):
    certificate = signing.authority.pem()
    first, last = (
        call(SIGNATURES).trust(
            ctx=signing.world.ctx(signing.seller, "administrator"), name=name_, certificate=certificate
        )
        for name_ in ("первое имя", "второе имя")
    )
    assert (first.id, first.certificate) == (last.id, last.certificate)
    anchors = call(SIGNATURES).trust_anchors(ctx=signing.world.ctx(signing.seller))
    assert [anchor.name for anchor in anchors if anchor.certificate == last.certificate] == ["второе имя"]


def test_only_administrators_publish_revocations(signing: Signing):
    with pytest.raises(Forbidden):
        call(SIGNATURES).publish_revocations(
            ctx=signing.world.ctx(signing.seller), revocation_list=signing.authority.revoke()
        )
    ctx = signing.world.ctx(signing.seller, "administrator")
    assert call(SIGNATURES).publish_revocations(ctx=ctx, revocation_list=signing.authority.revoke()) == 0


def test_an_unknown_document_and_an_unknown_signature(signing: Signing):
    ctx = signing.world.ctx(signing.seller)
    assert call(SIGNATURES).for_documents(ctx=ctx, document_ids=(new_id(),)) == ()
    with pytest.raises(SignatureNotFound):
        call(SIGNATURES).get(ctx=ctx, signature_id=new_id())
    signer = signing.certificate("ec")
    with pytest.raises(DocumentNotFound):
        call(SIGNATURES).sign(
            ctx=ctx, document_id=new_id(), signature_data=signer.sign(pdf()), certificate=signer.pem()
        )


def test_an_outdated_list_leaves_a_signature_undecided(signing: Signing):
    root = authority(f"Outdated {new_id()}")  # a list counts for every authority of its name
    call(SIGNATURES).trust(ctx=signing.world.ctx(), name="outdated", certificate=root.pem)
    signer = issue(name("Без адреса"), root)
    value = signer.key.sign(pdf(), ec.ECDSA(hashes.SHA256()))
    assert signing.submit(None, value, certificate=signer.pem).status is SignatureStatus.SIGNED
    outdated = revocations(root, next_update=NOW - DAY / 2).public_bytes(Encoding.PEM).decode()
    call(SIGNATURES).publish_revocations(ctx=signing.world.ctx(), revocation_list=outdated)
    result = signing.submit(None, value, certificate=signer.pem).verification_result
    assert (result.verdict, result.sub_indication) == (Verdict.INDETERMINATE, SubIndication.TRY_LATER)


def test_a_revoked_certificate_does_not_pass_any_more(signing: Signing):
    signer = signing.certificate("ec")
    signature = signing.submit(signer, signer.sign(pdf()))
    assert signature.status is SignatureStatus.SIGNED
    assert (
        call(SIGNATURES).publish_revocations(
            ctx=signing.world.ctx(), revocation_list=signing.authority.revoke(signer.certificate)
        )
        == 1
    )
    again = call(SIGNATURES).verify(ctx=signing.world.ctx(signing.buyer), signature_id=signature.id)
    assert again.sub_indication is SubIndication.REVOKED
    with pytest.raises(BadRevocationList):
        call(SIGNATURES).publish_revocations(ctx=signing.world.ctx(), revocation_list=Authority("Unknown").revoke())


def test_another_persons_certificate_does_not_pass(signing: Signing):
    signer = signing.certificate("ec")  # names the seller's address
    result = signing.submit(signer, signer.sign(pdf()), person=signing.buyer).verification_result
    assert result.sub_indication is SubIndication.SIGNER_MISMATCH


def test_a_certificate_is_pem_or_base64_of_der_and_nothing_else(signing: Signing):
    signer = signing.certificate("ec")
    der = base64.b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()
    assert signing.submit(signer, signer.sign(pdf()), certificate=der).status is SignatureStatus.SIGNED
    for rubbish in ("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", der[:-40], "Я" * 40):
        with pytest.raises(BadCertificate):
            signing.submit(signer, signer.sign(pdf()), certificate=rubbish)


def test_only_the_parties_sign_and_strangers_see_nothing(signing: Signing):
    signer, stranger = signing.certificate("ec"), signing.world.person()
    with pytest.raises(DocumentNotFound):
        signing.submit(signer, signer.sign(pdf()), person=stranger)
    signature = signing.submit(signer, signer.sign(pdf()))
    for ask in (call(SIGNATURES).get, call(SIGNATURES).verify):
        with pytest.raises(SignatureNotFound):
            ask(ctx=signing.world.ctx(stranger), signature_id=signature.id)
    stranger_ctx = signing.world.ctx(stranger)
    assert call(SIGNATURES).for_documents(ctx=stranger_ctx, document_ids=(signing.document.id,)) == ()
    with pytest.raises(NotASigner):  # an administrator sees the document and is no party
        call(SIGNATURES).sign(
            ctx=signing.world.ctx(stranger, "administrator"),
            document_id=signing.document.id,
            signature_data=b"x",
            certificate=signer.pem(),
        )


def test_only_administrators_trust_and_only_authorities_are_trusted(signing: Signing):
    with pytest.raises(Forbidden):
        call(SIGNATURES).trust(ctx=signing.world.ctx(signing.seller), name="mine", certificate=signing.authority.pem())
    with pytest.raises(NotAnAuthority):
        call(SIGNATURES).trust(ctx=signing.world.ctx(), name="x", certificate=signing.certificate("ec").pem())
    names = {anchor.certificate.subject for anchor in call(SIGNATURES).trust_anchors(ctx=signing.world.ctx())}
    assert "CN=Test authority" in names

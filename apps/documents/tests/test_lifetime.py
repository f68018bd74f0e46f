"""Versions of a document, and what becomes of an upload that is never completed, by the clock; in this process."""

import io
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from apps.contracts.interface import CONTRACTS, ContractStatus
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.seam.client.registry import call
from apps.documents.gateways import object_storage
from apps.documents.interface import (
    DOCUMENTS,
    ContractClosedForDocuments,
    DocumentNotFound,
    DocumentStatus,
    DocumentType,
    FileDiffers,
    FileNotUploaded,
    FileTooLarge,
    NotNewestVersion,
    SignedVersion,
    StorageUnavailable,
)
from apps.documents.models import Document
from apps.documents.service import incoming_key
from apps.signatures.interface import SIGNATURES
from tests.world import World, authority, pdf

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def sale(here: World):
    seller, buyer = here.person(), here.person()
    return seller, buyer, here.contract(seller, buyer)


def age(document_id, by: timedelta) -> None:
    Document.objects.filter(id=document_id).update(created_at=timezone.now() - by)


def is_stored(key: str) -> bool:
    try:
        return object_storage.size(key) > 0
    except FileNotUploaded:
        return False


def events(document_id) -> int:
    with connections[database_of("documents")].cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT event_id) FROM documents_outbox"
            " WHERE type = 'documents.document_stored' AND aggregate_id = %s",
            [document_id],
        )
        return cursor.fetchone()[0]


@pytest.mark.parametrize(("age_", "is_completed"), [(24 * HOUR - MINUTE, True), (24 * HOUR + MINUTE, False)])
def test_an_upload_is_completed_within_a_day(here: World, sale, age_: timedelta, is_completed: bool):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    here.put(ticket, pdf())
    age(ticket.document.id, age_)
    complete = lambda: call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)
    if is_completed:
        assert complete().status is DocumentStatus.UPLOADED
    else:
        with pytest.raises(DocumentNotFound):
            complete()


@pytest.mark.parametrize(("age_", "is_swept"), [(25 * HOUR - MINUTE, False), (25 * HOUR + MINUTE, True)])
def test_what_was_not_completed_is_swept_with_its_bytes(here: World, sale, age_: timedelta, is_swept: bool):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    here.put(ticket, pdf())
    age(ticket.document.id, age_)
    removed = call(DOCUMENTS).sweep(ctx=here.ctx()).removed
    assert removed >= is_swept
    assert Document.objects.filter(id=ticket.document.id).exists() is not is_swept
    assert is_stored(incoming_key(ticket.document.id, ticket.document.sha256)) is not is_swept


@pytest.mark.parametrize(
    ("age_", "is_cleared"), [(25 * HOUR - MINUTE, False), (25 * HOUR + MINUTE, True), (50 * HOUR + MINUTE, False)]
)
def test_of_a_completed_upload_only_the_ticket_is_swept(here: World, sale, age_: timedelta, is_cleared: bool):
    """For a day after the ticket has run out; later there is nothing left to clear."""
    seller, _, contract = sale
    document = here.document(seller, contract, pdf())
    age(document.id, age_)
    call(DOCUMENTS).sweep(ctx=here.ctx())
    row = Document.objects.get(id=document.id)
    assert row.status == DocumentStatus.UPLOADED
    assert is_stored(row.storage_key)
    assert is_stored(incoming_key(document.id, document.sha256)) is not is_cleared


def test_a_stored_document_is_published_once(here: World, sale):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    here.put(ticket, pdf())
    for _ in range(2):
        document = call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)
    assert (document.status, events(document.id)) == (DocumentStatus.UPLOADED, 1)


def test_bytes_of_another_size_are_not_even_read(here: World, sale):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    with pytest.raises(FileNotUploaded):
        call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)
    object_storage.put(
        incoming_key(ticket.document.id, ticket.document.sha256), io.BytesIO(pdf() + b" "), mime_type="application/pdf"
    )
    with pytest.raises(FileDiffers) as refusal:
        call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)
    assert (refusal.value.found_sha256, refusal.value.found_size) == ("", len(pdf()) + 1)
    assert refusal.value.expected_size == len(pdf())


def test_a_version_replaces_one_of_its_kind_and_contract_that_is_stored(here: World, sale):
    seller, buyer, contract = sale
    first = here.document(seller, contract, pdf())
    pending = here.ticket(seller, contract, pdf("ещё нет")).document
    elsewhere = here.document(seller, here.contract(seller, buyer), pdf())
    for superseded, kind in (
        (pending.id, DocumentType.SALE_CONTRACT),
        (elsewhere.id, DocumentType.SALE_CONTRACT),
        (first.id, DocumentType.OTHER),
        (new_id(), DocumentType.SALE_CONTRACT),
    ):
        with pytest.raises(DocumentNotFound):
            here.ticket(seller, contract, pdf("v2"), kind, supersedes=superseded)
    second = here.document(seller, contract, pdf("v2"), supersedes=first.id)
    assert (first.version, second.version, second.supersedes) == (1, 2, first.id)
    with pytest.raises(NotNewestVersion):
        here.ticket(buyer, contract, pdf("v3"), supersedes=first.id)
    assert here.document(buyer, contract, pdf("v3"), supersedes=second.id).version == 3


def test_a_signed_document_is_not_replaced_and_one_with_a_refused_signature_is(here: World, sale):
    seller, _, contract = sale
    document = here.document(seller, contract, pdf())
    signer = authority().issue("Продавец", seller.email, "ec")

    def sign(body: bytes) -> None:
        call(SIGNATURES).sign(
            ctx=here.ctx(seller), document_id=document.id, signature_data=signer.sign(body), certificate=signer.pem()
        )

    sign(pdf() + b" ")
    assert here.ticket(seller, contract, pdf("v2"), supersedes=document.id).document.version == 2
    sign(pdf())
    with pytest.raises(SignedVersion):
        here.ticket(seller, contract, pdf("v2"), supersedes=document.id)


def test_the_largest_file_is_fifty_mebibytes(here: World, sale):
    seller, _, contract = sale
    assert here.ticket(seller, contract, b"", file_size=settings.DOCUMENT_MAX_BYTES).document.file_size == 50 * 2**20
    with pytest.raises(FileTooLarge):
        here.ticket(seller, contract, b"", file_size=settings.DOCUMENT_MAX_BYTES + 1)


def test_an_upload_is_not_completed_when_the_contract_is_over(here: World, sale):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    here.put(ticket, pdf())
    call(CONTRACTS).change_status(ctx=here.ctx(seller), contract_id=contract.id, status=ContractStatus.CANCELLED)
    with pytest.raises(ContractClosedForDocuments):
        call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)


def test_the_system_sees_what_is_not_uploaded_yet_and_starts_no_upload(here: World, sale):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    assert call(DOCUMENTS).get(ctx=here.ctx(), document_id=ticket.document.id) == ticket.document
    assert call(DOCUMENTS).for_contracts(ctx=here.ctx(), contract_ids=(contract.id,)) == ()
    with pytest.raises(ContractClosedForDocuments):
        call(DOCUMENTS).start_upload(
            ctx=here.ctx(),
            contract_id=contract.id,
            document_type=DocumentType.OTHER,
            original_filename="a.pdf",
            mime_type="application/pdf",
            file_size=1,
            sha256="0" * 64,
        )


def test_documents_are_listed_in_the_order_of_their_announcement(here: World, sale):
    seller, buyer, contract = sale
    documents = [here.document(seller, contract, pdf(text)) for text in ("1", "2", "3")]
    assert call(DOCUMENTS).for_contracts(ctx=here.ctx(buyer), contract_ids=(contract.id,)) == tuple(documents)


def test_storage_that_refuses_is_said_so(here: World, sale, monkeypatch: pytest.MonkeyPatch):
    seller, _, contract = sale
    ticket = here.ticket(seller, contract, pdf())
    monkeypatch.setattr(settings, "DOCUMENTS_BUCKET", "No Such Bucket")
    with pytest.raises(StorageUnavailable):
        call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)

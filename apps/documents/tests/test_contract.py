"""The contract of documents, on all four sides of the seam."""

import hashlib
import resource
import zlib
from uuid import uuid4

import pikepdf
import pytest
from pikepdf import Name, String

from apps.contracts.interface import CONTRACTS, ContractNotFound, ContractStatus
from apps.core.interface.errors import Forbidden, InvalidArguments
from apps.core.seam.client.registry import call
from apps.documents.interface import (
    DOCUMENTS,
    ActiveContent,
    ContractClosedForDocuments,
    DocumentNotFound,
    DocumentStatus,
    DocumentType,
    FileDamaged,
    FileDiffers,
    FileEmpty,
    FileEncrypted,
    FileNotUploaded,
    FileTooLarge,
    FileTypeMismatch,
    FileTypeNotAllowed,
    NotNewestVersion,
)
from apps.documents.tests.files import made, on_open
from tests.world import World, pdf


@pytest.fixture
def sale(world: World):
    seller, buyer = world.person(), world.person()
    return seller, buyer, world.contract(seller, buyer)


def test_a_document_is_announced_put_checked_and_downloaded(world: World, sale):
    seller, buyer, contract = sale
    ticket = world.ticket(seller, contract, pdf())
    assert ticket.document.status is DocumentStatus.PENDING
    with pytest.raises(FileNotUploaded):
        call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=ticket.document.id)
    assert world.put(ticket, pdf()) == 200
    document = call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=ticket.document.id)
    assert document.status is DocumentStatus.UPLOADED
    assert (document.original_filename, document.file_size) == ("Договор.pdf", len(pdf()))
    link = call(DOCUMENTS).download(ctx=world.ctx(buyer), document_id=document.id)
    assert world.bytes_behind(link.url) == pdf()
    assert call(DOCUMENTS).for_contracts(ctx=world.ctx(buyer), contract_ids=(contract.id,)) == (document,)


def test_completing_twice_is_one_document(world: World, sale):
    seller, _, contract = sale
    document = world.document(seller, contract, pdf())
    assert call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=document.id) == document


def test_the_same_key_announces_one_document(world: World, sale):
    seller, _, contract = sale
    ctx = world.ctx(seller, key="one-upload")
    start = lambda: call(DOCUMENTS).start_upload(
        ctx=ctx,
        contract_id=contract.id,
        document_type=DocumentType.OTHER,
        original_filename="a.pdf",
        mime_type="application/pdf",
        file_size=1,
        sha256="0" * 64,
    )
    assert start().document == start().document


def test_other_bytes_than_announced_are_refused_with_both_digests(world: World, sale):
    seller, _, contract = sale
    body = pdf()
    changed = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
    ticket = world.ticket(seller, contract, body)
    world.put(ticket, changed)
    with pytest.raises(FileDiffers) as refusal:
        call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=ticket.document.id)
    assert refusal.value.expected_sha256 == hashlib.sha256(body).hexdigest()
    assert refusal.value.found_sha256 == hashlib.sha256(changed).hexdigest()


@pytest.mark.parametrize(
    ("mime_type", "body"),
    [
        ("application/pdf", b"\x89PNG\r\n\x1a\n" + b"0" * 64 + b"IEND\xaeB`\x82"),
        ("application/pdf", b"%PDF-1.7\nnothing else\n%%EOF\n"),
        ("application/pdf", b"MZ" + b"%PDF-1.7"),
        ("image/png", b"%PDF-1.7\n%%EOF\n"),
        ("image/jpeg", b"\xff\xd8\xff" + b"0" * 64),
    ],
)
def test_declared_and_real_type_agree(world: World, sale, mime_type: str, body: bytes):
    seller, _, contract = sale
    ticket = world.ticket(seller, contract, body, DocumentType.OTHER, mime_type=mime_type)
    world.put(ticket, body)
    with pytest.raises((FileTypeMismatch, FileDamaged)) as refusal:
        call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=ticket.document.id)
    if isinstance(refusal.value, FileTypeMismatch):
        assert refusal.value.declared == mime_type != refusal.value.found


def test_a_pdf_with_another_file_behind_it_is_refused(world: World, sale):
    seller, _, contract = sale
    polyglot = pdf() + b"PK\x03\x04" + b"\0" * 4096
    ticket = world.ticket(seller, contract, polyglot)
    world.put(ticket, polyglot)
    with pytest.raises(FileDamaged):
        call(DOCUMENTS).complete_upload(ctx=world.ctx(seller), document_id=ticket.document.id)


def test_an_unacceptable_file_gets_no_ticket(world: World, sale):
    seller, _, contract = sale
    with pytest.raises(FileTypeNotAllowed) as refusal:
        world.ticket(seller, contract, b"x", mime_type="text/html")
    assert "application/pdf" in refusal.value.allowed
    with pytest.raises(FileEmpty):
        world.ticket(seller, contract, b"")
    with pytest.raises(FileTooLarge) as refusal:
        world.ticket(seller, contract, b"x", file_size=2**33)
    assert refusal.value.limit == 50 * 1024 * 1024
    with pytest.raises(InvalidArguments):
        world.ticket(seller, contract, b"x", original_filename="x" * 4_097)


def test_any_name_is_kept_as_one_harmless_line(world: World, sale):
    seller, _, contract = sale
    for name, shown in (("../../etc/passwd", ".._.._etc_passwd"), ("a\0\nb.pdf", "a__b.pdf"), ("", "file")):
        assert world.ticket(seller, contract, b"x", original_filename=name).document.original_filename == shown


@pytest.mark.parametrize("declared", ["", "application/octet-stream", "Application/PDF; charset=binary"])
def test_the_content_decides_what_a_file_is(world: World, sale, declared: str):
    seller, _, contract = sale
    document = world.document(seller, contract, pdf(), mime_type=declared)
    assert (document.mime_type, document.active_content) == ("application/pdf", ())
    with pytest.raises(FileTypeNotAllowed):
        world.document(seller, contract, b"PK\x03\x04", mime_type="")


def test_active_content_is_marked(world: World, sale):
    seller, _, contract = sale
    document = world.document(seller, contract, made(on_open(S=Name.JavaScript, JS=String("app.alert(1)"))))
    assert document.active_content == (ActiveContent.JAVASCRIPT,)
    assert call(DOCUMENTS).get(ctx=world.ctx(seller), document_id=document.id) == document


def test_an_encrypted_file_is_refused(world: World, sale):
    seller, _, contract = sale
    with pytest.raises(FileEncrypted):
        world.document(seller, contract, made(encryption=pikepdf.Encryption(owner="o", user="u")))


def test_a_stranger_sees_neither_contract_nor_document(world: World, sale):
    seller, _, contract = sale
    document, stranger = world.document(seller, contract, pdf()), world.person()
    with pytest.raises(ContractNotFound):
        world.ticket(stranger, contract, pdf())
    for ask in (call(DOCUMENTS).get, call(DOCUMENTS).download, call(DOCUMENTS).complete_upload):
        with pytest.raises(DocumentNotFound):
            ask(ctx=world.ctx(stranger), document_id=document.id)
    assert call(DOCUMENTS).for_contracts(ctx=world.ctx(stranger), contract_ids=(contract.id,)) == ()
    with pytest.raises(DocumentNotFound):
        call(DOCUMENTS).get(ctx=world.ctx(seller), document_id=uuid4())


def test_an_announced_file_is_seen_by_its_uploader_only(world: World, sale):
    seller, buyer, contract = sale
    ticket = world.ticket(seller, contract, pdf())
    assert call(DOCUMENTS).get(ctx=world.ctx(seller), document_id=ticket.document.id).status is DocumentStatus.PENDING
    with pytest.raises(DocumentNotFound):
        call(DOCUMENTS).get(ctx=world.ctx(buyer), document_id=ticket.document.id)
    with pytest.raises(DocumentNotFound):
        call(DOCUMENTS).download(ctx=world.ctx(seller), document_id=ticket.document.id)


def test_a_version_supersedes_another(world: World, sale):
    seller, _, contract = sale
    first = world.document(seller, contract, pdf())
    second = world.document(seller, contract, pdf("v2"), supersedes=first.id)
    assert (second.version, second.supersedes) == (2, first.id)
    with pytest.raises(NotNewestVersion):
        world.ticket(seller, contract, pdf("v3"), supersedes=first.id)


def zeros(size: int) -> bytes:
    """So many zero bytes (a multiple of 64 MiB) as a zlib stream (RFC 1950): one compressed block again and again."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = raw.compress(bytes(2**26)) + raw.flush(zlib.Z_FULL_FLUSH)
    checksum = (size % 65521) << 16 | 1
    return b"\x78\xda" + block * (size // 2**26) + b"\x03\x00" + checksum.to_bytes(4, "big")


def test_a_small_pdf_that_unfolds_without_end_is_refused(here: World):
    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    bomb = zlib.compress(zeros(48 * 2**26), 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = (
        b"%%PDF-1.7\n1 0 obj\n<</Type/XRef/Size 2/W[1 2 1]/Root 1 0 R/Filter[/FlateDecode/FlateDecode]/Length %d>>\n"
        % (len(bomb))
    )
    body += b"stream\n" + bomb + b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n"
    ticket = here.ticket(seller, contract, body)
    here.put(ticket, body)
    with pytest.raises(FileDamaged):
        call(DOCUMENTS).complete_upload(ctx=here.ctx(seller), document_id=ticket.document.id)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000, "KiB; the PDF was unfolded in this process"


def test_a_contract_that_is_over_takes_no_documents(world: World, sale):
    seller, _, contract = sale
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=ContractStatus.CANCELLED)
    with pytest.raises(ContractClosedForDocuments):
        world.ticket(seller, contract, pdf())


def test_only_system_work_sweeps(world: World, sale):
    with pytest.raises(Forbidden):
        call(DOCUMENTS).sweep(ctx=world.ctx(sale[0]))
    assert call(DOCUMENTS).sweep(ctx=world.ctx()).removed >= 0

"""Documents: upload, versions, exact bytes."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse
from pikepdf import Name, String

from apps.documents.tests.files import made, on_open
from apps.portal.tests.people import Person, document_of, pdf, text


def test_a_document_is_sent_downloaded_and_signed_over_its_exact_bytes():
    seller, buyer, other = Person(), Person(), Person()
    contract = seller.sells_to(buyer)
    body = pdf()
    assert seller.upload(contract, body, "договор%20№1.pdf").status_code == 201
    document = document_of(seller, contract)
    assert document.original_filename == "договор №1.pdf"
    assert "договор №1.pdf" in text(buyer.get("contract", contract.id))
    streamed = buyer.get("content", contract.id, document.id)
    assert b"".join(streamed.streaming_content) == body
    assert streamed["Content-Disposition"] == "attachment"
    assert buyer.get("download", contract.id, document.id).status_code == 302
    signing = text(buyer.get("sign", contract.id, document.id))
    assert document.sha256 in signing
    assert "openssl dgst -sha256 -sign" in signing
    for name in ("content", "download", "sign"):
        assert other.get(name, contract.id, document.id).status_code == 404
        assert buyer.get(name, buyer.sells_to(seller).id, document.id).status_code == 404


def test_a_new_version_stands_before_the_earlier_one():
    seller = Person()
    contract = seller.sells_to(Person())
    seller.upload(contract, name="first.pdf")
    first = document_of(seller, contract)
    assert seller.upload(contract, name="second.pdf", supersedes=str(first.id)).status_code == 201
    page = text(seller.get("contract", contract.id))
    assert page.index("second.pdf") < page.index("first.pdf")
    assert "Earlier versions (1)" in page.replace("</summary>", "")


def test_a_refused_document_is_a_problem_in_words():
    seller, other = Person(), Person()
    contract = seller.sells_to(Person())
    assert seller.upload(contract, b"not a pdf").json()["code"] == "file_type_mismatch"
    assert seller.upload(contract, b"").status_code == 422
    assert seller.upload(contract, type="poem").json()["detail"] == "Choose a file and say what it is."
    assert seller.upload(contract, name="a/b%00.pdf").status_code == 201
    assert document_of(seller, contract).original_filename == "a_b_.pdf"
    assert other.upload(contract).json()["code"] == "contract_not_found"
    url = reverse("portal:upload", args=[contract.id])
    stranger = Client().post(url, b"%PDF-", content_type="application/pdf")
    assert stranger.status_code == 302


def test_a_file_that_does_more_than_show_is_marked_for_its_readers():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer)
    seller.upload(contract, made(on_open(S=Name.JavaScript, JS=String("app.alert(1)"))), name="a.pdf")
    document = document_of(seller, contract)
    warning = "This file does more than show text when it is opened: JavaScript."
    assert warning in text(buyer.get("contract", contract.id))
    assert warning in text(buyer.get("sign", contract.id, document.id))
    seller.upload(contract, pdf(), name="plain.pdf", supersedes=str(document.id))
    assert warning not in text(buyer.get("contract", contract.id))

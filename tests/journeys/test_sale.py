"""Whole sales through the public REST API, as the demonstration plays them."""

import secrets

import pytest

from apps.core.interface.context import new_context
from apps.core.seam.client.registry import call
from apps.signatures.interface import SIGNATURES
from landcontracts.demo.certificates import Authority
from landcontracts.demo.client import Refused
from landcontracts.demo.sale import Sale, certificates_for
from tests.journeys.people import Person, worker
from tests.world import cadastral_number


@pytest.fixture
def authority() -> Authority:
    trusted = Authority(f"Authority {secrets.token_hex(4)}")
    call(SIGNATURES).trust(ctx=new_context(), name="journey", certificate=trusted.pem())
    return trusted


def prepared(authority: Authority):
    sale = Sale(Person(name="Продавец"), Person(name="Покупатель"), Person("lawyer", name="Юрист"))
    signers = certificates_for(authority, sale.seller, sale.buyer)
    sale.record_plot(cadastral_number(), "Поле 7", "1200.5")
    sale.draw_up("4750000.00")
    return sale, signers


def test_a_sale_goes_from_plot_to_completion(authority: Authority):
    with worker():
        sale, (seller, buyer) = prepared(authority)
        assert sale.wait_for_workflow().startswith("preparation")
        sale.upload_extract()
        sale.upload_contract()
        sale.try_bad_signature(sale.buyer, buyer, forged=True)
        unknown = Authority("Unknown").issue("x", sale.buyer.user["email"], "ed25519")
        sale.try_bad_signature(sale.buyer, unknown, forged=False)
        assert [item["verdict"] for item in sale.refused] == ["FAILED", "FAILED"]
        assert "PASSED" in sale.sign(sale.seller, seller)
        assert "PASSED" in sale.sign(sale.buyer, buyer)
        sale.wait_for_status("signed")
        sale.finish_stage(sale.seller, "payment", "")
        sale.finish_stage(sale.lawyer, "registration", "")
        sale.finish_stage(sale.buyer, "handover", "")
        sale.wait_for_status("completed")
    assert "equal" in sale.check_again()
    history = sale.buyer.get(f"contracts/{sale.contract['id']}/history")
    assert [entry["status"] for entry in history] == [
        "draft", "awaiting_signatures", "signed", "in_registration", "completed",
    ]  # fmt: skip
    stages = sale.workflow()["stages"]
    assert {stage["status"] for stage in stages} == {"completed"}
    assert all(stage["actual_date"] for stage in stages)
    with worker():
        messages = sale.lawyer.wait_for(
            "notifications", lambda page: any("completed" in i["title"] for i in page["items"])
        )
    assert messages["unread"] == len(messages["items"])
    read = sale.lawyer.post(f"notifications/{messages['items'][0]['id']}/read")
    assert read["read_at"]
    assert set(sale.seller.answered_by) >= {"authentication", "contracts", "documents", "signatures"}


def test_a_document_comes_under_its_own_name_and_the_link_expires(authority: Authority):
    sale, _ = prepared(authority)
    sale.upload_contract()
    link = sale.buyer.get(f"documents/{sale.document['id']}/download")
    body, disposition = sale.buyer.fetch(link["url"])
    assert body == sale.pdf
    assert disposition.startswith("attachment; filename*=UTF-8''%D0%94%D0%BE%D0%B3%D0%BE%D0%B2%D0%BE%D1%80")
    assert "X-Amz-Expires=300" in link["url"]
    tampered = link["url"].replace("X-Amz-Expires=300", "X-Amz-Expires=9000")
    assert sale.pdf not in sale.buyer.fetch(tampered)[0]
    assert f"documents/{sale.document['id']}/{sale.document['sha256']}" in link["url"]


def test_an_upload_ticket_cannot_change_what_was_accepted(authority: Authority):
    import hashlib

    sale, _ = prepared(authority)
    first, second = b"%PDF-1.4", b""
    from tests.world import pdf

    first = pdf("one")
    second = pdf("two").ljust(len(first), b"\n")[: len(first)]
    ticket = sale.seller.post(
        "documents/uploads",
        {
            "contract_id": sale.contract["id"],
            "document_type": "sale_contract",
            "original_filename": "a.pdf",
            "mime_type": "application/pdf",
            "file_size": len(first),
            "sha256": hashlib.sha256(first).hexdigest(),
        },
    )
    assert sale.seller.put(ticket, first) == 200
    sale.seller.post(f"documents/{ticket['document']['id']}/complete")
    sale.seller.put(ticket, second)  # the ticket's URL still works
    link = sale.buyer.get(f"documents/{ticket['document']['id']}/download")
    assert sale.buyer.fetch(link["url"])[0] == first


def test_a_plot_is_not_sold_twice(authority: Authority):
    with worker():
        sale, (seller, buyer) = prepared(authority)
        sale.upload_contract()
        sale.sign(sale.seller, seller)
        sale.sign(sale.buyer, buyer)
        sale.wait_for_status("signed")
        other = Sale(sale.seller, Person(name="Другой"), sale.lawyer)
        other.plot = sale.plot
        other.draw_up("1.00")
        other.upload_contract()
        other.sign(sale.seller, seller)
        second = authority.issue("Другой", other.buyer.user["email"], "ed25519")
        other.sign(other.buyer, second)
        path = f"contracts/{other.contract['id']}"
        other.buyer.wait_for(path, lambda contract: contract["blockers"] == ["plot_under_contract"])
        assert other.buyer.get(path)["status"] == "awaiting_signatures"
        sale.lawyer.patch(f"contracts/{sale.contract['id']}/status", {"status": "cancelled"})
        assert other.buyer.get(path)["status"] == "signed"  # the plot is free again


def test_a_signed_document_is_not_superseded(authority: Authority):
    with worker():
        sale, (seller, _) = prepared(authority)
        sale.upload_contract()
        sale.sign(sale.seller, seller)
        with pytest.raises(Refused) as refusal:
            sale.lawyer.upload(
                "v2.pdf",
                sale.pdf,
                "application/pdf",
                contract_id=sale.contract["id"],
                document_type="sale_contract",
                supersedes=sale.document["id"],
            )
    assert refusal.value.problem["code"] == "document_is_signed"


def test_a_cancelled_contract_cancels_its_workflow(authority: Authority):
    with worker():
        sale, _ = prepared(authority)
        sale.wait_for_workflow()
        sale.seller.patch(f"contracts/{sale.contract['id']}/status", {"status": "cancelled", "comment": "Раздумали"})
        workflow = sale.workflow(lambda workflows: bool(workflows) and workflows[0]["status"] == "cancelled")
    assert {stage["status"] for stage in workflow["stages"]} == {"cancelled"}

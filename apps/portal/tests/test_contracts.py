"""Plots and contracts: visibility, creation, moves, and the messages for errors."""

from __future__ import annotations

import re
from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.authentication.interface import Role
from apps.contracts.interface import CONTRACTS, ContractStatus
from apps.core.seam.client.registry import call
from apps.portal.tests.people import Person, cadastral_number, text


def test_a_person_sees_their_own_contracts_and_no_others():
    seller, buyer, other = Person(name="Семён Продавцов"), Person(name="Борис Покупателев"), Person()
    contract = seller.sells_to(buyer)
    for person, opposite in ((seller, "Борис Покупателев"), (buyer, "Семён Продавцов")):
        listed = text(person.get("contracts"))
        assert contract.number in listed
        assert opposite in listed
        assert "The contract of sale has not been uploaded" in listed
        assert person.get("contract", contract.id).status_code == 200
    assert contract.number not in text(other.get("contracts"))
    for name in ("contract", "history", "move", "terms"):
        assert other.get(name, contract.id).status_code == 404
    assert other.get("plot", contract.land_plot_id).status_code == 404


def test_the_list_is_filtered_by_status_and_paged_by_keyset():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer)
    assert contract.number in text(seller.get("contracts", status="draft"))
    assert contract.number not in text(seller.get("contracts", status="signed"))
    assert seller.get("contracts", status="nonsense").status_code == 200
    for _ in range(20):
        seller.sells_to(buyer)
    first = text(seller.get("contracts"))
    assert contract.number not in first
    cursor = re.search(r"cursor=([^\"]+)", first)
    assert cursor is not None
    assert contract.number in text(seller.get("contracts", cursor=cursor[1]))
    broken = seller.browser.get(reverse("portal:contracts"), {"cursor": "###"}, follow=True)
    assert "cursor is not valid" in text(broken)


def test_a_plot_is_recorded_once_however_often_the_form_is_sent():
    person = Person()
    key = re.search(r'name="command_key" value="(\w+)"', text(person.get("plots")))
    assert key is not None
    number = cadastral_number()
    form = {"cadastral_number": f" {number} ", "address": "д. Луговая", "area_m2": "1 250,5", "category": "settlement",
            "command_key": key[1]}  # fmt: skip
    assert person.post("plots", form).status_code == 302
    assert person.post("plots", form).status_code == 302
    (plot,) = call(CONTRACTS).list_plots(ctx=person.ctx).items
    assert (plot.cadastral_number, plot.area_m2) == (number, Decimal("1250.50"))
    again = person.post("plots", {**form, "command_key": ""})
    assert again.status_code == 409
    assert "recorded this plot already" in text(again)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cadastral_number": "50:20:12"}, "for example 50:20:0010203:1187"),
        ({"area_m2": "-3"}, "positive number of square metres"),
        ({"area_m2": "wide"}, "Enter a number"),
        ({"area_m2": "1e400000"}, "positive number of square metres"),
        ({"area_m2": "NaN"}, "Enter a number"),
        ({"address": ""}, "required"),
        ({"category": "moon"}, "valid choice"),
    ],
)
def test_a_wrong_plot_says_why_and_keeps_what_was_typed(change, words):
    form = {"cadastral_number": cadastral_number(), "address": "д. Дальняя, уч. 7", "area_m2": "100",
            "category": "forest", **change}  # fmt: skip
    answer = Person().post("plots", form)
    assert answer.status_code == 422
    page = text(answer)
    assert words in page.replace("&#x27;", "'").split("<form", 3)[-1]
    for value in (form["cadastral_number"], form["address"], form["area_m2"]):
        assert not value or f'value="{value}"' in page


def contract_form(seller: Person, buyer: Person, **change: str) -> dict[str, str]:
    return {"land_plot_id": str(seller.plot().id), "buyer_email": buyer.email, "price": "4 500 000,00",
            "currency": "RUB", "terms": "Оплата через аккредитив.", **change}  # fmt: skip


def test_a_contract_is_drawn_up():
    seller, buyer, lawyer = Person(), Person(), Person(Role.LAWYER)
    form = contract_form(seller, buyer, lawyer_email=f" {lawyer.email.upper()}")
    answer = seller.post("new-contract", form)
    assert answer.status_code == 302
    (contract,) = call(CONTRACTS).list(ctx=seller.ctx).items
    assert answer["Location"] == reverse("portal:contract", args=[contract.id])
    assert (contract.price, contract.lawyer_id) == (Decimal(4_500_000), lawyer.user.id)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"buyer_email": "unknown@portal.example"}, "No account has this address"),
        ({"buyer_email": "not an address"}, "valid email"),
        ({"price": "-5"}, "positive amount"),
        ({"price": "4,500"}, "positive amount"),  # ambiguous: four and a half, or thousands
        ({"land_plot_id": str(uuid4())}, "valid choice"),
        ({"currency": "XXX"}, "valid choice"),
        ({"terms": "т" * 20_001}, "20000"),
    ],
)
def test_a_wrong_contract_says_why_and_keeps_what_was_typed(change, words):
    form = contract_form(seller := Person(), Person(), **change)
    answer = seller.post("new-contract", form)
    assert answer.status_code == 422
    page = text(answer)
    assert words in page
    assert form["buyer_email"] in page
    assert form["price"] in page
    assert form["terms"] in page
    assert call(CONTRACTS).list(ctx=seller.ctx).items == ()


def test_every_wrong_field_is_named_at_once():
    seller, buyer = Person(), Person()
    form = contract_form(seller, buyer, price="x", buyer_email="unknown@portal.example")
    page = text(seller.post("new-contract", form))
    assert "Enter a number" in page
    assert "No account has" in page


def test_parts_are_taken_by_fitting_people():
    seller, buyer = Person(), Person()
    page = text(seller.post("new-contract", contract_form(seller, buyer, agent_email=buyer.email)))
    assert "cannot hold two parts" in page
    page = text(seller.post("new-contract", contract_form(seller, buyer, lawyer_email=Person().email)))
    assert "has not registered for this part: Lawyer" in page


def test_terms_change_in_a_draft_only_and_not_by_the_buyer():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer)
    assert seller.post("terms", {"price": "5 000 000", "terms": "Новые"}, contract.id).status_code == 302
    assert call(CONTRACTS).get(ctx=seller.ctx, contract_id=contract.id).terms == "Новые"
    refused = buyer.post("terms", {"price": "1", "terms": "Даром"}, contract.id)
    assert refused.status_code == 403
    assert "Даром" in text(refused)
    call(CONTRACTS).change_status(ctx=seller.ctx, contract_id=contract.id, status=ContractStatus.AWAITING_SIGNATURES)
    frozen = seller.post("terms", {"price": "6", "terms": "Поздно"}, contract.id)
    assert "only in a draft" in text(frozen)


def test_a_contract_is_moved_and_an_illegal_move_keeps_the_comment():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer)
    assert "Send for signing" in text(seller.get("contract", contract.id))
    assert "Send for signing" not in text(buyer.get("contract", contract.id))
    form = {"status": "awaiting_signatures", "comment": "Прошу подписать."}
    assert seller.post("move", form, contract.id).status_code == 302
    assert "Прошу подписать." in text(buyer.get("history", contract.id))
    refused = buyer.post("move", {"status": "signed", "comment": "Уже всё"}, contract.id)
    assert refused.status_code == 409
    assert "From “Awaiting signatures” the contract cannot go to “Signed”" in text(refused)
    assert "Уже всё" in text(refused)
    assert buyer.post("move", {"status": "", "comment": ""}, contract.id).status_code == 422


def test_stages_are_shown_with_their_buttons_and_refusals_in_words():
    seller, buyer = Person(), Person()
    contract = seller.sells_to(buyer, lawyer_id=Person(Role.LAWYER).user.id)
    page = text(seller.get("contract", contract.id))
    stage = re.search(r"/stages/([0-9a-f-]{36})/", page)
    assert stage is not None
    assert "Preparation of documents" in page
    assert "Stage is done" in page
    assert "Stage is done" not in text(buyer.get("contract", contract.id))
    form = {"status": "completed", "actual_date": "2999-01-01", "comment": "Собрано"}
    late = seller.post("stage", form, contract.id, stage[1])
    assert late.status_code == 422
    assert "from the start of the workflow to today" in text(late)
    assert "2999-01-01" in text(late)
    refused = buyer.post("stage", {"status": "completed"}, contract.id, stage[1])
    assert refused.status_code == 403
    assert "completed by: Seller, Agent, Lawyer" in text(refused)
    assert seller.post("stage", {"status": "completed"}, contract.id, stage[1]).status_code == 302
    assert "Done" in text(seller.get("contract", contract.id))
    assert seller.get("stage", contract.id, uuid4()).status_code == 404


def test_the_parties_do_a_lawyers_part_where_there_is_none():
    seller, buyer = Person(), Person()
    page = text(buyer.get("contract", seller.sells_to(buyer).id))
    assert "Stage is done" in page

"""All pages together: strangers, languages, calls, silent services, no inline scripts."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from apps.core.interface.errors import RemoteCallFailed
from apps.core.seam.answer import Answer
from apps.core.seam.client import registry
from apps.portal.tests.people import Person, counted, document_of, settle, text

MOST_CALLS = 6
OWN_PAGES = ("contracts", "new-contract", "plots", "notifications", "profile")


@pytest.mark.parametrize("name", OWN_PAGES)
def test_strangers_are_sent_to_sign_in_and_back(name):
    path = reverse(f"portal:{name}")
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('portal:sign-in')}?next={path}"


def test_strangers_do_not_reach_a_contract_or_its_bytes():
    for name, count in (("contract", 1), ("history", 1), ("content", 2), ("download", 2), ("sign", 2)):
        answer = Client().get(reverse(f"portal:{name}", args=[uuid4() for _ in range(count)]))
        assert answer.status_code == 302
        assert "sign-in" in answer["Location"]


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_page_renders_in_both_languages_within_its_calls(language):
    seller, buyer = Person(language=language), Person()
    contract = seller.sells_to(buyer)
    seller.upload(contract)
    settle()
    document = document_of(seller, contract)
    stage = re.search(r"/stages/([0-9a-f-]{36})/", text(seller.get("contract", contract.id)))
    assert stage is not None
    pages = [(name,) for name in OWN_PAGES]
    pages += [(name, contract.id) for name in ("contract", "terms", "history", "move")]
    pages += [("stage", contract.id, stage[1]), ("sign", contract.id, document.id), ("plot", contract.land_plot_id)]
    for name, *arguments in pages:
        with counted() as calls:
            answer = seller.get(name, *arguments)
        assert answer.status_code == 200, name
        assert f'<html lang="{language}">' in text(answer)
        assert len(calls) <= MOST_CALLS, (name, calls)
        assert len(set(calls)) == len(calls), (name, calls)
        assert "no-store" in answer["Cache-Control"]
    for public in ("sign-in", "register"):
        stranger = Client(headers={"accept-language": language}).get(reverse(f"portal:{public}"))
        assert f'<html lang="{language}">' in text(stranger)


def test_a_longer_list_costs_no_more_calls():
    seller, buyer = Person(), Person()
    for _ in range(6):
        seller.sells_to(buyer)
    with counted() as calls:
        seller.get("contracts")
    assert sorted(calls) == ["authentication.cards", "contracts.list", "notifications.unread_count"]


@pytest.mark.parametrize("silent", ["documents", "signatures", "workflow", "authentication", "notifications"])
def test_a_contract_is_still_shown_when_another_service_is_silent(silent):
    seller = Person()
    contract = seller.sells_to(Person())
    seller.upload(contract)

    class Silent:
        side = process = "away"

        def send(self, operation, ctx, arguments) -> Answer:
            raise RemoteCallFailed("no answer", may_have_executed=True)

    def resolve(service, _ctx):
        return Silent() if service == silent else registry.local(service)

    with registry.routed_by(resolve):
        answer = seller.get("contract", contract.id)
        lost = seller.get("notifications") if silent == "notifications" else None
    assert answer.status_code == 200
    assert contract.number in text(answer)
    if lost is not None:
        assert lost.status_code == 503
        assert "Please try again" in text(lost)


def test_a_missing_page_is_a_page_in_words():
    answer = Person().browser.get("/nothing-here/")
    assert answer.status_code == 404
    assert "There is nothing here" in text(answer)


def test_templates_carry_no_inline_scripts_or_styles():
    folder = settings.BASE_DIR / "templates"
    templates = [*(folder / "portal").glob("*.html"), folder / "404.html", folder / "500.html"]
    assert len(templates) > 20
    for template in templates:
        source = template.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:|https?://", source), template

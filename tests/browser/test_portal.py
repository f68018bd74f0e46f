"""A sale in a real browser: every page fits a phone in both languages, and a document is signed with a key that stays there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core.interface.context import new_context
from apps.core.seam.client.registry import call
from apps.signatures.interface import SIGNATURES
from landcontracts.demo.certificates import Authority
from landcontracts.demo.sale import Sale
from tests.journeys.people import Person, worker
from tests.world import cadastral_number

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    # Chromium's own pipes and the driver's event loop end when they like.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
URL = os.environ.get("WEB_URL", "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # The driver runs an event loop in this thread, and Django refuses database calls beside one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Visitor:
    """A signed-in person with a page, and what the page complained about."""

    def __init__(self, browser: Any, person: Person, locale: str) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}).new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(f"{URL}/sign-in/")
        self.page.fill("#id_email", person.email)
        self.page.fill("#id_password", person.password)
        self.page.click("main button")
        self.page.wait_for_url(f"{URL}/")

    def _heard(self, message: Any) -> None:
        if "Content Security Policy" in message.text or (message.type == "error" and "status of 4" not in message.text):
            self.complaints.append(message.text)

    def fits(self, path: str) -> None:
        for width in (1280, 390):
            self.page.set_viewport_size({"width": width, "height": 900})
            self.page.goto(f"{URL}{path}")
            over = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, f"{path} is {over} px too wide at {width}"


@pytest.fixture
def sale() -> Sale:
    prepared = Sale(Person(name="Продавец"), Person(name="Покупатель"), Person("lawyer", name="Юрист"))
    with worker():
        prepared.record_plot(cadastral_number(), "Поле 7", "1200.5")
        prepared.draw_up("4750000.00")
        prepared.wait_for_workflow()
        prepared.upload_contract()
    return prepared


@pytest.mark.parametrize("locale", ["ru-RU", "en-US"])
def test_every_page_fits_a_phone_and_breaks_no_policy(browser: Any, sale: Sale, locale: str):
    sale.seller.patch("users/me", {"locale": locale[:2]})
    visitor = Visitor(browser, sale.seller, locale)
    contract = f"/contracts/{sale.contract['id']}/"
    sign = f"{contract}documents/{sale.document['id']}/sign/"
    for path in ("/", contract, sign, "/contracts/new/", "/plots/", "/notifications/", "/profile/", "/nothing/"):
        visitor.fits(path)
    words = visitor.page.goto(f"{URL}{contract}") and visitor.page.inner_text("main")
    assert ("Ход сделки" if locale == "ru-RU" else "Course of the sale") in words
    assert visitor.complaints == []


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_a_document_is_signed_in_the_browser(browser: Any, sale: Sale, kind: str, tmp_path: Path):
    authority = Authority(f"Authority for {kind}")
    call(SIGNATURES).trust(ctx=new_context(), name="browser", certificate=authority.pem())
    signer = authority.issue("Продавец", sale.seller.user["email"], kind)
    signer.save(tmp_path, "seller")
    visitor = Visitor(browser, sale.seller, "ru-RU")
    page = visitor.page
    page.goto(f"{URL}/contracts/{sale.contract['id']}/documents/{sale.document['id']}/sign/")
    page.set_input_files("#key", str(tmp_path / "seller.key.pem"))
    page.set_input_files("#certificate", str(tmp_path / "seller.crt.pem"))
    page.click("form[data-way=here] button")
    page.wait_for_function("() => /notice-(error|success)/.test(document.querySelector('[data-said]').className)")
    assert "success" in page.get_attribute("[data-said]", "class"), page.inner_text("[data-said]")
    (signature,) = sale.signatures()
    assert (signature["status"], signature["verification_result"]["verdict"]) == ("signed", "PASSED")
    assert visitor.complaints == []

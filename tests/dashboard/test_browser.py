"""In a real browser: the curves are drawn, and changes appear without reloading the page, on a desktop and on a phone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from apps.extraction.routing.canary import controller
from apps.extraction.state.initiator import Initiator
from tests.browser.test_portal import URL, browser, pytestmark  # noqa: F401 - a fixture, and when it cannot be
from tests.dashboard.conftest import HOME, ME, PAGE, SERVICE, person
from tests.world import PASSWORD

INKED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) colours.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
  return colours.size;
}"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(params=[1280, 390])
def page(request: Any, browser: Any) -> Any:  # noqa: F811 - the fixture
    context = browser.new_context(
        locale="en-US", timezone_id="Pacific/Auckland", viewport={"width": request.param, "height": 900}
    )
    page_ = context.new_page()
    page_.complaints = []
    page_.on("pageerror", lambda error: page_.complaints.append(str(error)))
    page_.goto(f"{URL}/admin/login/?next={HOME}")
    page_.fill("#id_username", person().email)
    page_.fill("#id_password", PASSWORD)
    page_.press("#id_password", "Enter")
    page_.wait_for_url(f"{URL}{HOME}")
    yield page_
    context.close()


def says(page: Any, selector: str, words: str) -> None:
    page.wait_for_function(
        "([selector, words]) => (document.querySelector(selector)?.textContent ?? '').includes(words)",
        arg=[selector, words],
    )


def test_the_overview_renews_itself_and_says_when_it_cannot(page: Any, watched: Any):
    card = f'article[data-service="{SERVICE}"]'
    page.evaluate("window.same = true")
    says(page, f'{card} [data-field="canary_words"]', "step 2 of 4")
    controller.promote(SERVICE, ME)
    says(page, f'{card} [data-field="share_words"]', "50")
    says(page, f'{card} [data-field="canary_words"]', "step 3 of 4")
    assert page.locator(f"{card} .dash-lane li.now").count() == 1
    updated = datetime.strptime(page.locator("[data-fresh]").text_content().split()[-1], "%H:%M:%S")
    behind = timezone.localtime().replace(tzinfo=None) - updated  # in the zone of the page, not of the browser
    assert behind.seconds < 60
    assert page.evaluate(TOO_WIDE) <= 0
    page.route("**/live/", lambda route: route.abort())
    says(page, "[data-stale]", "Not updated since")
    assert page.locator("[data-stale]").is_visible()
    page.unroute("**/live/")
    page.wait_for_selector("[data-stale]", state="hidden")
    assert page.evaluate("window.same")
    assert page.complaints == []


def test_the_service_page_draws_its_curves_and_offers_what_became_possible(page: Any, watched: Any):
    page.goto(f"{URL}{PAGE}")
    page.evaluate("window.same = true")
    page.wait_for_selector('[data-chart="share"] canvas')
    inked = [canvas.evaluate(INKED) for canvas in page.query_selector_all(".dash-chart canvas")]
    assert len(inked) == 4
    assert min(inked) > 3
    assert page.locator('[data-chart="evidence"] table tbody tr').count() > 3
    assert page.evaluate(TOO_WIDE) <= 0
    page.locator("aside summary").click()
    controller.roll_back(SERVICE, Initiator("Мария", "test", "достаточно"))
    says(page, '[data-part="actions"]', "Deploy a canary")
    says(page, '[data-part="history"]', "достаточно")
    assert page.locator("aside details").get_attribute("open") is not None
    assert page.evaluate("window.same")
    page.evaluate("document.documentElement.classList.toggle('dark')")
    assert page.locator(".dash-chart canvas").count() == 4
    assert page.complaints == []

"""In a real browser: no page of administrators or programmers has a script or a style that its own policy forbids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_portal import URL, browser, pytestmark  # noqa: F401 - a fixture, and when it cannot be
from tests.dashboard.conftest import person
from tests.world import PASSWORD

ADMIN = [
    "/admin/",
    "/admin/authentication/user/",
    "/admin/core/flag/",
    "/admin/extraction/dashboard/",
    "/admin/extraction/dashboard/notifications/",
    "/admin/extraction/move/",
]
API = ["/api/v1", "/api/v1/contracts", "/api/v1/land-plots", "/api/v1/docs"]


class Page:
    """A page of a signed-in administrator, and what the browser blocked on it."""

    def __init__(self, browser: Any) -> None:  # noqa: F811 - the fixture
        self.page = browser.new_context(locale="en-US").new_page()
        self.blocked: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.blocked.append(str(error)))

    def _heard(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.blocked.append(message.text)

    def sign_in(self) -> None:
        self.page.goto(f"{URL}/admin/login/?next=/admin/")
        self.page.fill("#id_username", person().email)
        self.page.fill("#id_password", PASSWORD)
        self.page.press("#id_password", "Enter")
        self.page.wait_for_url(f"{URL}/admin/")

    def open(self, path: str) -> None:
        answer = self.page.goto(f"{URL}{path}", wait_until="networkidle")
        assert answer.status == 200, path
        assert "script-src" in answer.headers["content-security-policy"], path


@pytest.mark.parametrize("paths", [ADMIN, API], ids=["admin", "api"])
def test_no_page_breaks_its_own_policy(browser: Any, paths: list[str]):  # noqa: F811 - the fixture
    page = Page(browser)
    page.sign_in()
    for path in paths:
        page.open(path)
        assert page.blocked == [], path


def test_a_person_signs_out_of_the_pages_of_the_api(browser: Any):  # noqa: F811 - the fixture
    page = Page(browser)
    page.sign_in()
    page.open("/api/v1/contracts")
    page.page.click("form[action*=logout] button")
    page.page.wait_for_url(f"{URL}/api/v1/contracts")
    assert page.page.goto(f"{URL}/api/v1/contracts").status == 401
    assert page.blocked == []


def test_the_policy_of_administrators_forbids_what_comes_from_elsewhere(browser: Any):  # noqa: F811 - the fixture
    page = Page(browser)
    page.sign_in()
    foreign = (
        "Object.assign(document.createElement('script'), {src: 'https://elsewhere.example/a.js', onerror: blocked})"
    )
    page.page.evaluate(f"() => new Promise(blocked => document.head.append({foreign}))")
    assert len(page.blocked) == 1

"""With the gateway and without: the same status, the same headers, the same shape of body."""

import hashlib
import io
import json
import re
import secrets
import uuid
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import pikepdf
import pytest
import urllib3

from landcontracts.demo.certificates import Authority
from tests.gateway.envoys import Gateway, send
from tests.journeys.people import Person
from tests.journeys.test_sale import authority, prepared  # noqa: F401 - a fixture
from tests.world import cadastral_number, pdf

# Of one answer, or of one connection (RFC 9110, section 7.6.1).
NOT_THE_SAME = {"date", "x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "connection"}
NOWHERE = "00000000-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}


def shape(value: Any) -> Any:
    """A body's shape, without its values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def comparable(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """The parts of an answer that must be the same."""
    headers: dict[str, Any] = {
        name.lower(): "set" if name.lower() in {"set-cookie", "content-length", "content-security-policy"} else value
        for name, value in answer.headers.items()
        if name.lower() not in NOT_THE_SAME
    }
    if "expires" in headers:  # two requests may stand on either side of a second
        moments = [parsedate_to_datetime(answer.headers[name]) for name in ("Expires", "Date")]
        headers["expires"] = "at once" if abs(moments[0] - moments[1]) <= timedelta(seconds=1) else headers["expires"]
    # The gateway names the header that it reads itself (Origin); the rest is the platform's.
    headers["vary"] = sorted({part.strip().lower() for part in headers.get("vary", "").split(",")} - {"origin", ""})
    body = json.loads(answer.data) if answer.data and "json" in headers.get("content-type", "") else None
    is_problem = answer.status >= 400 and isinstance(body, dict)
    return {"status": answer.status, "headers": headers, "body": body if is_problem else shape(body)}


def large_pdf(megabytes: int) -> bytes:
    """A whole PDF that is larger than any other request may be."""
    written = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf("большой"))) as document:
        document.Root.Padding = document.make_stream(secrets.token_bytes(megabytes * 1024 * 1024))
        document.save(written)
    return written.getvalue()


def plot(number: str) -> bytes:
    return json.dumps({"cadastral_number": number, "address": "Поле у реки, «Заря» № 7", "area_m2": "10.5"}).encode()


REQUESTS: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "list": ("GET", "/api/v1/contracts?limit=2", None, {}),
    "head": ("HEAD", "/api/v1/contracts", None, {}),
    "options": ("OPTIONS", "/api/v1/contracts", None, {}),
    "slash": ("GET", "/api/v1/contracts/", None, {}),
    "front door": ("GET", "/api/v1", None, {}),
    "me": ("GET", "/api/v1/users/me", None, {}),
    "made": ("POST", "/api/v1/land-plots", lambda: plot(cadastral_number()), JSON),
    "under a key": ("POST", "/api/v1/land-plots", lambda: plot(cadastral_number()), JSON | {"Idempotency-Key": "own"}),
    "bad key": ("POST", "/api/v1/land-plots", lambda: plot("x"), JSON | {"Idempotency-Key": "x" * 201}),
    "Cyrillic": ("PATCH", "/api/v1/users/me", '{"full_name": "Ёлкина Щука-Ъ"}'.encode(), JSON),
    "Cyrillic query": ("GET", "/api/v1/users?q=%D0%81%D0%BB%D0%BA%D0%B0", None, {}),
    "Cyrillic path": ("GET", "/api/v1/contracts/%D0%BF%D1%83%D1%82%D1%8C", None, {}),
    "Russian": ("POST", "/api/v1/land-plots", lambda: plot("50:20"), JSON | {"Accept-Language": "ru"}),
    "English": ("POST", "/api/v1/land-plots", lambda: plot("50:20"), JSON | {"Accept-Language": "en"}),
    "not JSON": ("POST", "/api/v1/land-plots", b"{", JSON),
    "fields": ("POST", "/api/v1/contracts", b'{"price": "y"}', JSON),
    "404": ("GET", f"/api/v1/contracts/{NOWHERE}", None, {}),
    "404 of no app": ("GET", "/api/v1/nothing", None, {}),
    "405": ("DELETE", "/api/v1/contracts", None, {}),
    "406": ("GET", "/api/v1/contracts", None, {"Accept": "image/png"}),
    "415": ("POST", "/api/v1/contracts", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}),
    # Just one byte too many, so that none is left unread: a server that answers before it has read all may break the connection.
    "413": ("POST", "/api/v1/contracts", b" " * (2 * 1024 * 1024 + 1), JSON),
    "documents of none": ("GET", f"/api/v1/documents?contract_id={NOWHERE}", None, {}),
    "no document": ("GET", f"/api/v1/documents/{NOWHERE}/download", None, {}),
    "upload without a file": ("POST", "/api/v1/documents/upload", b"", {"Content-Type": "multipart/form-data; boundary=x"}),
    "upload of JSON": ("POST", "/api/v1/documents/upload", b"{}", JSON),
    "empty body": ("POST", "/api/v1/signatures/sign", b"", JSON),
    "keys": ("GET", "/.well-known/jwks.json", None, {}),
    "administrators only": ("GET", "/api/v1/sync", None, {}),
    "page": ("GET", "/sign-in/", None, {}),
    "page away": ("GET", "/contracts/new/", None, {}),
    "admin away": ("GET", "/admin/", None, {}),
    "asset": ("GET", "/static/portal/portal.css", None, {"Accept-Encoding": "gzip"}),
    "no asset": ("GET", "/static/nothing.css", None, {}),
    "no page": ("GET", "/contracts/nothing/", None, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("signed_in", [True, False], ids=["with a token", "without"])
def test_an_answer_is_the_same(through: Gateway, direct: str, person: Person, name: str, signed_in: bool):
    method, path, body, headers = REQUESTS[name]
    if name == "413":
        signed_in = True  # a stranger's body is not read
    everything = {
        "Accept-Language": "en",
        **headers,
        **({"Authorization": person._headers["Authorization"]} if signed_in else {}),
    }
    answers = []
    for url in (direct, through.url):
        own = {"Idempotency-Key": secrets.token_hex(8)} if headers.get("Idempotency-Key") == "own" else {}
        sent = body() if callable(body) else body
        answers.append(comparable(send(url, method, path, sent, **{**everything, **own})))
    without, with_gateway = answers
    assert with_gateway == without


def test_an_asset_is_there_at_all(through: Gateway):
    assert through.send("GET", REQUESTS["asset"][1]).status == 200


def test_a_key_that_was_used_on_one_way_is_known_on_the_other(through: Gateway, direct: str, person: Person):
    headers = {**JSON, **person._headers, "Idempotency-Key": secrets.token_hex(8)}
    body = plot(cadastral_number())
    answers = [send(url, "POST", "/api/v1/land-plots", body, **headers) for url in (direct, through.url, direct)]
    assert {answer.status for answer in answers} == {201}
    assert len({json.loads(answer.data)["id"] for answer in answers}) == 1


def test_a_file_comes_back_byte_by_byte_on_both_ways(through: Gateway, direct: str, authority: Authority, monkeypatch):  # noqa: F811
    monkeypatch.setenv("WEB_URL", through.url)
    sale, _ = prepared(authority)
    content = large_pdf(5)
    fields = {"contract_id": sale.contract["id"], "document_type": "other"}
    stored = sale.seller.upload("Выписка «№ 1».pdf", content, "application/pdf", **fields)["document"]
    for url in (direct, through.url):
        sale.seller.url = url
        link = sale.seller.get(f"documents/{stored['id']}/download")
        body, disposition = sale.seller.fetch(link["url"])
        assert body == content
        assert disposition.startswith("attachment; filename*=UTF-8''%D0%92")


class Browser:
    """A session with its cookies, as a browser keeps them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {"Cookie": cookie, "Origin": self.url, "Accept": "text/html", **headers}
        answer = send(self.url, method, path, body, **own)
        for line in answer.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def sign_in(self, person: Person) -> None:
        page = self.send("GET", "/sign-in/").data.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        form = {"csrfmiddlewaretoken": token, "email": person.email, "password": person.password}
        encoded = urlencode(form).encode()
        answer = self.send("POST", "/sign-in/", encoded, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 302, answer.data


@pytest.fixture(scope="module")
def browser(through: Gateway, person: Person) -> Browser:
    browser = Browser(through.url)
    browser.sign_in(person)
    return browser


def test_a_browser_signs_in_and_reads_pages_by_its_session(browser: Browser):
    assert "sessionid" in browser.cookies
    for path in ("/", "/plots/", "/contracts/new/", "/notifications/", "/profile/"):
        assert browser.send("GET", path).status == 200, path


def test_a_session_uses_the_api_with_its_csrf_token_and_not_without(browser: Browser):
    assert browser.send("GET", "/api/v1/land-plots").status == 200
    refused = browser.send("POST", "/api/v1/land-plots", plot(cadastral_number()), Accept="application/json", **JSON)
    assert refused.status == 403
    headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Accept": "application/json", **JSON}
    assert browser.send("POST", "/api/v1/land-plots", plot(cadastral_number()), **headers).status == 201


def test_a_browsers_file_goes_through_in_pieces(browser: Browser, authority: Authority, monkeypatch, direct: str):  # noqa: F811
    sale, _ = prepared(authority)
    own = Browser(browser.url)
    own.sign_in(sale.seller)
    content = large_pdf(4)
    path = f"/contracts/{sale.contract['id']}/documents/?type=other"
    headers = {
        "X-CSRFToken": own.cookies["csrftoken"],
        "X-File-Name": "%D0%A4%D0%B0%D0%B9%D0%BB.pdf",
        "X-File-Sha256": hashlib.sha256(content).hexdigest(),
        "Content-Type": "application/pdf",
    }
    answer = own.send("POST", path, content, **headers)
    assert answer.status == 201, answer.data
    document = json.loads(answer.data)["document_id"]
    page = f"/contracts/{sale.contract['id']}/documents/{document}/content"
    assert own.send("GET", page).data == content
    assert uuid.UUID(document)

"""Requests at the edges of HTTP and JSON, against the running web server."""

import json
import os
import secrets
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import urllib3
from django.conf import settings

from apps.authentication.models import LogInFailure
from apps.contracts.models import Contract, StatusChange
from apps.core.seam import signing
from apps.documents.tests.files import image, made
from tests.edges.servers import answer, request_of
from tests.journeys.people import Person
from tests.world import cadastral_number, pdf

WEB = os.environ["WEB_URL"]
_http = urllib3.PoolManager(retries=False)


@pytest.fixture(scope="module")
def sale():
    seller, buyer = Person(), Person()
    plot = seller.post("land-plots", {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "600"})
    contract = seller.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "5"})
    return seller, contract


def bearer(person: Person) -> dict[str, str]:
    return {"Authorization": person._headers["Authorization"]}


def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return _http.request(method, f"{WEB}/api/v1/{path}", body=body, headers=sent)


def raw(request: bytes) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(WEB)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        return answer(connection)


def chunked(path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    head = request_of("PATCH", path, Transfer_Encoding="chunked", Content_Type="application/json", **headers)
    head = head.replace(b"Host: x", f"Host: {urlsplit(WEB).netloc}".encode())
    return raw(head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:3], body[3:])) + b"0\r\n\r\n")


def test_a_chunked_body_is_read(sale):
    seller, contract = sale
    body = json.dumps({"terms": "Новые условия"}).encode()
    status, _, said = chunked(f"/api/v1/contracts/{contract['id']}", body, **bearer(seller))
    assert (status, json.loads(said)["terms"]) == (200, "Новые условия")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("kind", ["application/json", None, "application/x-www-form-urlencoded"])
def test_a_missing_body_is_refused_where_one_is_taken(sale, method: str, kind: str | None):
    seller, contract = sale
    path = {"POST": "land-plots", "PATCH": f"contracts/{contract['id']}"}[method]
    before = Contract.objects.get(id=contract["id"]).updated_at
    refused = ask(method, path, b"", **bearer(seller), **({"Content_Type": kind} if kind else {}))
    assert refused.status in ({422} if kind == "application/json" else {415, 422})
    assert Contract.objects.get(id=contract["id"]).updated_at == before


def test_a_change_of_nothing_changes_nothing(sale):
    seller, contract = sale
    row = Contract.objects.get(id=contract["id"])
    row.sale_document_id, row.signed_by_seller = uuid.uuid4(), True
    row.save()
    before, entries = row.updated_at, StatusChange.objects.filter(contract_id=row.id).count()
    for change in ({}, {"price": "5.00"}, {"terms": row.terms}, {"price": "5", "terms": row.terms}):
        assert seller.patch(f"contracts/{row.id}", change)["blockers"] == ["buyer_signature_missing"]
    row.refresh_from_db()
    assert (row.updated_at, row.signed_by_seller) == (before, True)
    assert StatusChange.objects.filter(contract_id=row.id).count() == entries
    assert "no_sale_contract" in seller.patch(f"contracts/{row.id}", {"price": "6"})["blockers"]


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda text: text[:8] + text[8:].upper()])
@pytest.mark.parametrize("path", ["contracts/{}", "contracts/{}/", "contracts/{}/history", "contracts/{}/status/"])
def test_an_id_is_one_thing_in_either_case(sale, change, path: str):
    seller, contract = sale
    assert ask("GET", path.format(change(contract["id"])), **bearer(seller)).status == 200
    assert ask("GET", f"documents?contract_id={change(contract['id'])}", **bearer(seller)).status == 200


@pytest.mark.parametrize(("own", "status"), [(True, 200), (False, 400)])
def test_an_absolute_address_says_which_host_is_meant(sale, own: bool, status: int):
    seller, _ = sale
    here, there = urlsplit(WEB).netloc, "evil.example"
    target, field = (here, there) if own else (there, here)
    head = request_of("GET", f"http://{target}/api/v1/contracts", **bearer(seller))
    assert raw(head.replace(b"Host: x", f"Host: {field}".encode()))[0] == status


@pytest.mark.parametrize(
    ("accept", "status"),
    [("", 200), (" ", 200), (",", 200), ("*/*", 200), ("application/json", 200), ("image/png", 406), ("x", 406)],
)
def test_what_a_client_accepts(sale, accept: str, status: int):
    seller, _ = sale
    head = request_of("GET", "/api/v1/contracts", Accept=accept, **bearer(seller))
    assert raw(head.replace(b"Host: x", f"Host: {urlsplit(WEB).netloc}".encode()))[0] == status


def test_an_upload_needs_no_type_and_keeps_its_name(sale):
    seller, contract = sale
    fields = {"contract_id": contract["id"], "document_type": "other"}
    for name, shown in (
        ("a&amp;b «№1».pdf", "a&amp;b «№1».pdf"),
        ("..", "file"),
        ("../../x.pdf", ".._.._x.pdf"),
        ("C:\\a\\b.pdf", "C:_a_b.pdf"),
        ('"quoted".pdf', '"quoted".pdf'),
        ("gpj.\u202efdp", "gpj._fdp"),
    ):
        sent = seller.upload(name, pdf(), "application/octet-stream", **fields)["document"]
        assert (sent["original_filename"], sent["mime_type"]) == (shown, "application/pdf")
        ticket = seller.post(
            "documents/uploads",
            {**fields, "original_filename": name, "file_size": 5, "sha256": "0" * 64, "mime_type": "application/PDF"},
        )["document"]
        assert ticket["original_filename"] == shown, "one rule for both ways"


def test_a_picture_is_what_it_is(sale):
    seller, contract = sale
    fields = {"contract_id": contract["id"], "document_type": "other"}
    assert seller.upload("a", image("JPEG"), "", **fields)["document"]["mime_type"] == "image/jpeg"


def test_active_content_is_marked(sale):
    seller, contract = sale
    body = made(lambda opened: opened.Root.__setitem__("/OpenAction", _launch()))
    sent = seller.upload("a.pdf", body, "", contract_id=contract["id"], document_type="other")["document"]
    assert sent["active_content"] == ["launch"]


def _launch():
    from pikepdf import Dictionary, Name

    return Dictionary(S=Name.Launch)


def test_a_stranger_sends_no_file_and_few_bytes():
    status, _, body = raw(request_of("POST", "/api/v1/documents/upload", Content_Length="20000000"))
    assert (status, json.loads(body)["code"]) == (401, "not_authenticated")
    status, _, body = raw(request_of("POST", "/api/v1/auth/login", Content_Length="20000000"))
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_a_seam_call_is_refused_before_its_body():
    path = "/internal/seam/documents/sweep"
    body = b"{}"
    at, signature = signing.seal(caller="monolith", callee="documents", method="POST", path=path, body=body)
    headers = {"X_Seam_Caller": "monolith", "X_Seam_Time": at, "X_Seam_Signature": signature}
    digest = signing.digest_of(body)
    forged = request_of("POST", path, Content_Length="900000", X_Seam_Body_SHA256="0" * 64, **headers)
    status, _, said = raw(forged)
    assert (status, json.loads(said)) == (401, {"fault": "not authentic"})
    for sent, expected in ((body, 400), (b"[]", 401)):
        status, _, said = raw(request_of("POST", path, sent, X_Seam_Body_SHA256=digest, **headers))
        assert status == expected, said
    assert raw(request_of("POST", path, body, **headers))[0] == 400, "a call of the release before"
    assert raw(request_of("POST", path, b"[]", **headers))[0] == 401


def test_wrong_passwords_under_one_key_are_counted_each():
    person = Person()
    headers = {"Content_Type": "application/json", "Idempotency_Key": secrets.token_hex(8)}
    for number in range(5):
        body = json.dumps({"email": person.email, "password": f"wrong-{number}-password"}).encode()
        assert [ask("POST", "auth/login", body, **headers).status for _ in range(2)] == [401, 401]
    assert LogInFailure.objects.filter(email=person.email).count() == 5, "the repeated request is the same attempt"
    locked = ask("POST", "auth/login", body.replace(b"wrong-4", b"wrong-5"), **headers)
    assert locked.status == 429
    assert 0 < int(locked.headers["Retry-After"]) <= 60
    assert json.loads(locked.data)["retry_after_seconds"] == int(locked.headers["Retry-After"])


def test_a_device_token_logs_in_where_its_network_is_locked():
    person = Person()
    body = {"email": person.email, "password": person.password}
    device = json.loads(ask("POST", "auth/login", json.dumps(body).encode(), Content_Type="application/json").data)
    for number in range(5):
        wrong = json.dumps({"email": person.email, "password": f"wrong-{number}-password"}).encode()
        ask("POST", "auth/login", wrong, Content_Type="application/json")
    assert ask("POST", "auth/login", json.dumps(body).encode(), Content_Type="application/json").status == 429
    known = json.dumps({**body, "device_token": device["device_token"]}).encode()
    assert ask("POST", "auth/login", known, Content_Type="application/json").status == 200


def test_one_persons_expensive_requests_are_bounded(sale):
    """Sixteen uploads at a time: some are answered, the rest are told when to come again, and none fails."""
    seller, contract = sale
    body, boundary = pdf(), b"b"
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="contract_id"\r\n\r\n' + contract["id"].encode(),
        b'--b\r\nContent-Disposition: form-data; name="document_type"\r\n\r\nother',
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + body,
    ]
    form = b"\r\n".join([*parts, b"--b--\r\n"])
    headers = {"Content_Type": f"multipart/form-data; boundary={boundary.decode()}", **bearer(seller)}
    with ThreadPoolExecutor(16) as pool:
        sent = list(pool.map(lambda _: ask("POST", "documents/upload", form, **headers), range(16)))
        health = _http.request("GET", f"{WEB}/healthz").status
    statuses = {one.status for one in sent}
    assert statuses <= {201, 429}, [one.data for one in sent]
    assert 201 in statuses
    assert health == 200
    assert all(int(one.headers["Retry-After"]) > 0 for one in sent if one.status == 429)


def test_a_cookie_that_costs_time_to_read_is_not_read():
    """Of Python before 3.11.10 (CVE-2024-7592), not even for the language of the refusal."""
    started = time.monotonic()
    for path in ("/login/", "/api/v1/contracts"):
        cookie = f'{settings.LANGUAGE_COOKIE_NAME}="' + '\\"' * 25_000 + '"'
        assert raw(request_of("GET", path, Cookie=cookie))[0] == 431
        # Nor where the parser refuses the request before all of its fields have been looked at.
        assert raw(request_of("GET", path, Cookie=cookie, Transfer_Encoding="chunked", Content_Length="3"))[0] == 400
    assert time.monotonic() - started < 5

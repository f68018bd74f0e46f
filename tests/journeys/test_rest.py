"""The public REST API as programs meet it: problems, tokens, keys, limits, the schema."""

import gzip
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
import urllib3
from django.test import Client
from drf_spectacular.views import SpectacularAPIView

from apps.core.rest import schema_view
from landcontracts.demo.client import Refused
from landcontracts.embedded.processes import inner_url
from tests.journeys.people import Person
from tests.world import cadastral_number, pdf

http = urllib3.PoolManager()


def raw(method: str, path: str, body: bytes | None = None, **headers: str):
    return http.request(method, f"{os.environ['WEB_URL']}{path}", body=body, headers=headers, redirect=False)


def problem(answer) -> dict:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.data
    content = json.loads(answer.data)
    assert {"type", "title", "status", "detail", "code", "instance"} <= set(content)
    assert content["status"] == answer.status
    return content


@pytest.fixture
def person() -> Person:
    return Person()


def plot(person: Person) -> dict:
    return person.post("land-plots", {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "10"})


def test_tokens_are_checked_with_the_published_key_alone(person: Person):
    tokens = person.post("auth/login", {"email": person.email, "password": person.password})
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 300)
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "device_token"}
    keys = json.loads(raw("GET", "/.well-known/jwks.json").data)["keys"]
    header = jwt.get_unverified_header(tokens["access_token"])
    (key,) = [key for key in keys if key["kid"] == header["kid"]]
    claims = jwt.decode(
        tokens["access_token"],
        jwt.PyJWK(key).key,
        algorithms=["RS256"],
        audience="landcontracts-api",
        issuer="landcontracts",
    )
    assert claims["sub"] == person.user["id"]
    assert "d" not in key


@pytest.mark.parametrize("change", ["none", "hs256", "other_key", "other_audience", "expired", "cut", "no_kid"])
def test_a_token_that_we_did_not_issue_is_refused(person: Person, change: str):
    from cryptography.hazmat.primitives.asymmetric import rsa

    tokens = person.post("auth/login", {"email": person.email, "password": person.password})
    good = tokens["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    ours = os.environ["JWT_SIGNING_KEY"]
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(raw("GET", "/.well-known/jwks.json").data)["keys"][0]["n"]
    token = {
        "none": lambda: jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        "hs256": lambda: jwt.encode(claims, public, algorithm="HS256", headers={"kid": kid}),
        "other_key": lambda: jwt.encode(claims, other, algorithm="RS256", headers={"kid": kid}),
        "other_audience": lambda: jwt.encode({**claims, "aud": "x"}, ours, algorithm="RS256", headers={"kid": kid}),
        "expired": lambda: jwt.encode({**claims, "exp": 1}, ours, algorithm="RS256", headers={"kid": kid}),
        "cut": lambda: good[:-4],
        "no_kid": lambda: jwt.encode(claims, ours, algorithm="RS256"),
    }[change]()
    answer = raw("GET", "/api/v1/auth/me", Authorization=f"Bearer {token}")
    assert problem(answer)["status"] == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_rotation_reuse_and_log_out(person: Person):
    first = person.post("auth/login", {"email": person.email, "password": person.password})
    refresh = lambda token: person.post("auth/refresh", {"refresh_token": token})
    second = refresh(first["refresh_token"])
    third = refresh(second["refresh_token"])
    with pytest.raises(Refused) as refusal:
        refresh(first["refresh_token"])
    assert refusal.value.problem["code"] == "refresh_token_reused"
    with pytest.raises(Refused) as refusal:
        refresh(third["refresh_token"])
    assert refusal.value.problem["code"] == "refresh_token_invalid"


def test_ten_refreshes_at_once_give_one_successor(person: Person):
    first = person.post("auth/login", {"email": person.email, "password": person.password})
    body = json.dumps({"refresh_token": first["refresh_token"]}).encode()
    send = lambda _: raw("POST", "/api/v1/auth/refresh", body, **{"Content-Type": "application/json"})
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(10)))
    assert {answer.status for answer in answers} == {200}
    assert len({json.loads(answer.data)["refresh_token"] for answer in answers}) == 1


def test_guessing_a_password_is_slowed_down(person: Person):
    for _ in range(5):
        with pytest.raises(Refused) as refusal:
            person.post("auth/login", {"email": person.email, "password": "wrong-password"})
        assert refusal.value.problem["code"] == "bad_credentials"
    with pytest.raises(Refused) as refusal:
        person.post("auth/login", {"email": person.email, "password": person.password})
    assert refusal.value.problem["status"] == 429
    assert refusal.value.problem["retry_after_seconds"] > 0


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 400, ""),
        (b"[" * 100_000, 422, ""),
        (b"\xff", 400, ""),
        (b"[]", 422, ""),
        (b"{}", 422, "/cadastral_number"),
        (b'{"cadastral_number": 1, "address": "x", "area_m2": "1"}', 422, "/cadastral_number"),
        (b'{"cadastral_number": "x", "address": "x", "area_m2": "1", "adress": "x"}', 422, "/adress"),
        (b'{"cadastral_number": "x", "address": "a\\u0000b", "area_m2": "1"}', 422, "/address"),
        (b'{"cadastral_number": "x", "address": "x", "area_m2": "many"}', 422, "/area_m2"),
    ],
)
def test_a_wrong_body_is_refused_with_a_pointer(person: Person, body: bytes, status: int, pointer: str):
    headers = {"Content-Type": "application/json", **person._headers}
    refusal = problem(raw("POST", "/api/v1/land-plots", body, **headers))
    assert refusal["status"] == status
    assert pointer in [item["pointer"] for item in refusal["errors"]]


def test_all_wrong_fields_are_reported_at_once(person: Person):
    with pytest.raises(Refused) as refusal:
        person.post("contracts", {"buyer_id": "x", "price": "y", "currency": "rubles"})
    pointers = {item["pointer"] for item in refusal.value.problem["errors"]}
    assert pointers == {"/buyer_id", "/price", "/currency", "/land_plot_id"}


def test_a_wrong_cadastral_number_names_the_rule_in_the_readers_language(person: Person):
    body = json.dumps({"cadastral_number": "50:20", "address": "x", "area_m2": "1"}).encode()
    english = raw("POST", "/api/v1/land-plots", body, **{**person._headers, "Content-Type": "application/json"})
    assert "six or seven digits" in problem(english)["detail"]
    headers = {**person._headers, "Content-Type": "application/json", "Accept-Language": "ru"}
    assert "шесть или семь цифр" in problem(raw("POST", "/api/v1/land-plots", body, **headers))["detail"]


def test_a_price_is_exact_and_never_a_float(person: Person):
    buyer, mine = Person(), plot(person)
    for price in ("12345678901234.57", "0.10"):
        contract = person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": price})
        assert contract["price"] == price
    page = person.get("contracts?limit=1")
    assert (page["items"][0]["price"], bool(page["next_cursor"])) == ("0.10", True)


def test_an_idempotency_key_makes_a_repeat_harmless(person: Person):
    buyer, mine = Person(), plot(person)
    body = json.dumps({"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"}).encode()
    key = {"Idempotency-Key": secrets.token_hex(8), "Content-Type": "application/json", **person._headers}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: raw("POST", "/api/v1/contracts", body, **key), range(4)))
    assert {answer.status for answer in answers} == {201}
    assert len({json.loads(answer.data)["id"] for answer in answers}) == 1
    other = body.replace(b'"5"', b'"6"')
    assert problem(raw("POST", "/api/v1/contracts", other, **key))["code"] == "idempotency_key_reused"
    bad = problem(raw("POST", "/api/v1/contracts", body, **{**key, "Idempotency-Key": "x" * 201}))
    assert bad["code"] == "bad_idempotency_key"


def test_illegal_moves_list_the_legal_ones(person: Person):
    buyer, mine = Person(), plot(person)
    contract = person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"})
    with pytest.raises(Refused) as refusal:
        person.patch(f"contracts/{contract['id']}/status", {"status": "completed"})
    assert refusal.value.problem["status"] == 409
    assert set(refusal.value.problem["legal"]) == {"awaiting_signatures", "cancelled"}


def test_a_hidden_resource_is_404_everywhere(person: Person):
    stranger, buyer, mine = Person(), Person(), plot(person)
    contract = person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"})
    for path in (f"contracts/{contract['id']}", f"contracts/{contract['id']}/history", f"land-plots/{mine['id']}"):
        with pytest.raises(Refused) as refusal:
            stranger.get(path)
        assert refusal.value.problem["status"] == 404
    assert stranger.get(f"documents?contract_id={contract['id']}") == []
    assert stranger.get("contracts")["items"] == []


def upload(person: Person, contract: dict, content: bytes, mime: str = "application/pdf", name: str = "a.pdf"):
    return person.upload(name, content, mime, contract_id=contract["id"], document_type="other")


def test_uploads_are_checked(person: Person):
    buyer, mine = Person(), plot(person)
    contract = person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"})
    answer = upload(person, contract, pdf(), name="Выписка «№ 1».pdf")
    assert (answer["status"], answer["document"]["original_filename"]) == ("uploaded", "Выписка «№ 1».pdf")
    for content, mime, code in (
        (b"<html>", "application/pdf", "file_type_mismatch"),
        (b"<html>", "text/html", "file_type_not_allowed"),
        (b"", "application/pdf", "file_empty"),
        (b"0" * (50 * 1024 * 1024 + 1), "application/pdf", "upload_too_large"),
    ):
        with pytest.raises(Refused) as refusal:
            upload(person, contract, content, mime)
        assert refusal.value.problem["code"] == code
    with pytest.raises(Refused) as refusal:
        person.upload("a.pdf", pdf(), "application/pdf", contract_id="x", document_type="other")
    assert refusal.value.problem["status"] == 422


def test_nothing_there_and_wrong_methods_are_problems_too(person: Person):
    assert problem(raw("GET", "/api/v1/nothing"))["code"] == "not_found"
    assert problem(raw("DELETE", "/api/v1/contracts", **person._headers))["status"] == 405
    assert problem(raw("POST", "/api/v1/contracts", b"a=1", **person._headers))["status"] == 415
    assert problem(raw("GET", "/api/v1/contracts"))["status"] == 401
    assert problem(raw("GET", "/api/v1/contracts?limit=many", **person._headers))["status"] == 422
    assert raw("GET", "/api/v1/contracts/", **person._headers).status == 200


def test_a_request_keeps_its_identity(person: Person):
    answer = raw("GET", "/api/v1/contracts", **{**person._headers, "X-Request-ID": "my-request-1"})
    assert answer.headers["X-Request-ID"] == "my-request-1"
    assert answer.headers["X-Answered-By"] == "contracts=monolith"
    strange = raw("GET", "/healthz", **{"X-Request-ID": "<script>"})
    assert "<" not in strange.headers["X-Request-ID"]


def test_the_schema_is_openapi_3_1_and_describes_every_path():
    schema = json.loads(raw("GET", "/api/v1/schema?format=json").data)
    assert schema["openapi"] == "3.1.0"
    for path in (
        "auth/register", "auth/login", "auth/refresh", "auth/logout", "auth/me", "users/me", "users/{user_id}",
        "land-plots", "land-plots/{land_plot_id}", "contracts", "contracts/{contract_id}",
        "contracts/{contract_id}/status", "contracts/{contract_id}/history", "documents", "documents/upload",
        "documents/uploads", "documents/{document_id}", "documents/{document_id}/complete",
        "documents/{document_id}/download", "signatures/sign", "signatures/{signature_id}",
        "signatures/{signature_id}/verify", "workflows/start", "workflows/{workflow_id}",
        "workflows/{workflow_id}/stages/{stage_id}/update", "notifications", "notifications/{notification_id}/read",
    ):  # fmt: skip
        assert f"/api/v1/{path}" in schema["paths"], path
    upload_body = schema["paths"]["/api/v1/documents/upload"]["post"]["requestBody"]["content"]
    assert "multipart/form-data" in upload_body
    names = set(schema["components"]["schemas"])
    refs = {text.split('"')[0] for text in json.dumps(schema).split('"#/components/schemas/')[1:]}
    assert refs <= names


def test_a_body_in_a_coding_is_refused_and_not_misread(person: Person):
    body = json.dumps({"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "10"}).encode()
    for coding, content, status in (("gzip", gzip.compress(body), 415), ("identity", body, 201), ("x", body, 415)):
        headers = {**person._headers, "Content-Type": "application/json", "Content-Encoding": coding}
        assert raw("POST", "/api/v1/land-plots", content, **headers).status == status, coding


def test_the_schema_is_made_once_in_each_form(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema_view, "_documents", {})
    made = []
    make = SpectacularAPIView.get
    monkeypatch.setattr(SpectacularAPIView, "get", lambda *args, **rest: made.append(1) or make(*args, **rest))
    client = Client()
    for form, times in (("json", 1), ("json", 1), ("yaml", 2), ("yaml&version=9", 2)):
        answer = client.get(f"/api/v1/schema?format={form}")
        assert answer.status_code == 200
        assert b"3.1.0" in answer.content
        assert len(made) == times
    assert client.get("/api/v1/schema", headers={"accept": "application/vnd.oai.openapi+json"}).json()["paths"]


def test_the_schema_is_valid_without_a_warning(tmp_path):
    from django.core.management import call_command

    written = tmp_path / "schema.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(written))  # raises at a warning
    assert "openapi: 3.1.0" in written.read_text()


def test_health_readiness_metrics_and_docs():
    assert raw("GET", "/healthz").status == 200
    assert json.loads(raw("GET", "/readyz").data) == {"status": "ready"}, "yes or no, where anybody may ask"
    assert raw("GET", "/metrics").status == 404
    inner = inner_url(os.environ["WEB_URL"])
    ready = json.loads(urllib3.request("GET", f"{inner}/readyz").data)
    assert ready["status"] == "ready"
    assert set(ready["checks"]) == {"database", "migrations", "clock", "redis", "storage", "keys", "signing"}
    text = urllib3.request("GET", f"{inner}/metrics").data.decode()
    for name in ("http_requests_total", "seam_call_seconds_bucket", "seam_served_total"):
        assert name in text
    assert raw("GET", "/api/v1/docs").status == 200


def test_a_token_that_was_used_before_still_expires(monkeypatch: pytest.MonkeyPatch):
    from datetime import UTC, datetime, timedelta

    from rest_framework_simplejwt.exceptions import TokenError

    from apps.core.rest import authentication
    from apps.core.rest.keys import AccessToken

    token = AccessToken()
    token["sub"] = "x"
    raw = str(token).encode()
    verified = authentication._Verified()
    verified.read(raw)
    later = datetime.now(UTC) + timedelta(minutes=6)
    monkeypatch.setattr(authentication, "aware_utcnow", lambda: later)
    with pytest.raises(TokenError):
        verified.read(raw)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "users/me", {"locale": "ru\n"}),
        ("PATCH", "users/me", {"full_name": "abc\n"}),
        ("POST", "auth/register", {"email": "\u0130" * 200 + "@a.bc", "password": "x" * 9, "full_name": "x"}),
        ("POST", "auth/register", {"email": "a@b.cd", "password": "x" * 9, "full_name": "x", "roles": ["buyer"] * 60_000}),
        ("GET", "contracts?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzowMHwwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA", None),
        ("GET", "land-plots?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzowMHwwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA", None),
    ],
)  # fmt: skip
def test_odd_input_is_refused_and_never_a_server_error(person: Person, method: str, path: str, body):
    encoded = None if body is None else json.dumps(body).encode()
    headers = {**person._headers, "Content-Type": "application/json"}
    assert problem(raw(method, f"/api/v1/{path}", encoded, **headers))["status"] == 422


def test_a_huge_body_is_not_read(person: Person):
    headers = {**person._headers, "Content-Type": "application/json"}
    answer = raw("POST", "/api/v1/auth/login", b" " * (2 * 1024 * 1024 + 1), **headers)
    assert problem(answer)["status"] == 413
    form = (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % i for i in range(1200))
        + b"--x--\r\n"
    )
    headers["Content-Type"] = "multipart/form-data; boundary=x"
    assert problem(raw("POST", "/api/v1/documents/upload", form, **headers))["status"] == 400


def test_strangers_keys_are_apart():
    first, second = Person(), Person()
    key = {"Idempotency-Key": "1", "Content-Type": "application/json"}
    for person_ in (first, second):
        tokens = person_.post("auth/login", {"email": person_.email, "password": person_.password})
        body = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
        assert raw("POST", "/api/v1/auth/refresh", body, **key).status == 200
        raw("POST", "/api/v1/auth/logout", body, **key)
        assert raw("POST", "/api/v1/auth/refresh", body, **key).status == 401  # a replay gives no revoked token back


def test_schemas_made_at_once_are_whole():
    with ThreadPoolExecutor(6) as pool:
        sizes = {len(raw("GET", "/api/v1/schema?format=json").data) for _ in pool.map(lambda _: None, range(1))}
        sizes |= set(pool.map(lambda _: len(raw("GET", "/api/v1/schema?format=json").data), range(6)))
    assert len(sizes) == 1


def test_contract_numbers_go_on_beyond_six_digits(here):
    from decimal import Decimal

    from django.db import connection

    from apps.contracts.logic import creation

    assert "greatest(6, length(count))" in creation.INSERT
    with connection.cursor() as cursor:
        cursor.execute("SELECT lpad(count, greatest(6, length(count)), '0') FROM (VALUES ('7'), ('1000000')) n (count)")
        assert [row[0] for row in cursor.fetchall()] == ["000007", "1000000"]
    assert here.contract(here.person(), here.person()).price == Decimal(1500000)


@pytest.mark.parametrize("price", ["1_000", " 5 ", "1e5", "\u0661\u0662", "+5", "0x10", "5."])
def test_a_price_is_written_plainly(person: Person, price: str):
    body = {"buyer_id": Person().user["id"], "land_plot_id": plot(person)["id"], "price": price}
    with pytest.raises(Refused) as refusal:
        person.post("contracts", body)
    assert refusal.value.problem["errors"][0]["pointer"] == "/price"


def test_everyone_in_a_contract_reads_its_plot(person: Person):
    buyer, mine = Person(), plot(person)
    person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"})
    assert buyer.get(f"land-plots/{mine['id']}")["cadastral_number"] == mine["cadastral_number"]


def test_a_file_name_keeps_its_quotation_marks(person: Person):
    buyer, mine = Person(), plot(person)
    contract = person.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": mine["id"], "price": "5"})
    answer = upload(person, contract, pdf(), name="Акт %222%22.pdf")  # as browsers write it
    assert answer["document"]["original_filename"] == 'Акт "2".pdf'


def test_administrators_grant_roles(person: Person, here):
    from apps.authentication.interface import AUTHENTICATION, Role
    from apps.core.seam.client.registry import call

    with pytest.raises(Refused) as refusal:
        person.patch(f"users/{person.user['id']}", {"roles": ["registrar"]})
    assert refusal.value.problem["status"] == 403
    chief = Person()
    from uuid import UUID

    call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=UUID(chief.user["id"]), roles=(Role.ADMINISTRATOR,))
    chief.log_in(chief.email, chief.password)
    assert chief.patch(f"users/{person.user['id']}", {"roles": ["registrar", "registrar"]})["roles"] == ["registrar"]


def test_administrators_read_whom_they_have_blocked(person: Person, here):
    from uuid import UUID

    from apps.authentication.interface import AUTHENTICATION, Role
    from apps.core.seam.client.registry import call

    chief = Person()
    call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=UUID(chief.user["id"]), roles=(Role.ADMINISTRATOR,))
    chief.log_in(chief.email, chief.password)
    address = f"users/{person.user['id']}"
    before = chief.get(address)
    assert not chief.patch(address, {"is_active": False})["is_active"]
    assert chief.get(address) == before
    with pytest.raises(Refused) as refusal:
        Person().get(address)
    assert refusal.value.problem["code"] == "user_not_found"


def test_a_signature_may_be_base64_in_lines(person: Person):
    body = {"document_id": person.user["id"], "certificate": "x"}
    for value in ("QUJD\nREVG\n", "QUJDREVG"):
        with pytest.raises(Refused) as refusal:
            person.post("signatures/sign", {**body, "signature_data": value})
        assert refusal.value.problem["code"] == "document_not_found"  # the value was read
    with pytest.raises(Refused) as refusal:
        person.post("signatures/sign", {**body, "signature_data": "not base64!"})
    assert refusal.value.problem["errors"][0]["pointer"] == "/signature_data"

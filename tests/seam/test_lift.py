"""A service in a process of its own: what it loads, what it may do, and that calls succeed when it starts and stops."""

import json
import os
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import urllib3

from apps.core import topology
from apps.core.interface.context import SYSTEM, new_context, to_wire
from apps.core.seam import signing
from apps.core.seam.client import http as http_client
from apps.extraction.routing import shares
from apps.extraction.routing.shadow.models import ShadowComparison
from landcontracts.embedded.processes import inner_url
from landcontracts.embedded.stack import BASE
from tests.journeys.people import Person
from tests.seam.sales import answered_by, until
from tests.seam.servers import lifted
from tests.stack.databases import as_service
from tests.world import World

SERVICES = tuple(topology.entries())
PASSWORDS = "SERVICE_DATABASE_PASSWORDS"
http = urllib3.PoolManager()

LOADED = """
import django, json, sys
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import landcontracts.wsgi, landcontracts.celery
landcontracts.celery.app.loader.import_default_modules()
from apps.core import topology
from apps.core.seam.server.dispatch import local_binding
from landcontracts.embedded.processes import inner_url
[local_binding(service) for service in topology.loaded()]
print(json.dumps(sorted(name for name in sys.modules if name.startswith("apps."))))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_of_another_app_but_its_interface_is_loaded(service: str):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", LOADED],
        env={**os.environ, "SERVICE": service},
        cwd=BASE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = [name.split(".") for name in json.loads(done.stdout)]
    foreign = {tuple(parts[1:]) for parts in loaded if parts[1] not in {"core", service} and len(parts) > 2}
    assert {parts[-1] for parts in foreign} <= {"interface"}, foreign
    assert [service, "service"] in [parts[1:] for parts in loaded]


def test_an_unknown_service_is_refused_with_the_known_names():
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "dokuments"], cwd=BASE, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "documents" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def documents():
    with lifted("documents") as (url, process):
        yield url, process


@pytest.fixture
def remote():
    """Sets the remote share of documents; 0 again afterwards."""
    yield lambda percent: shares.set_share("documents", "remote", Decimal(percent))
    shares.set_share("documents", "remote", Decimal(0))


def get(url: str, **headers: str) -> urllib3.BaseHTTPResponse:
    return http.request("GET", url, headers=headers)


def test_it_has_health_metrics_and_the_document_of_its_own_paths(documents):
    url, _ = documents
    assert get(f"{url}/healthz").status == 200
    assert get(f"{url}/readyz").json() == {"status": "ready"}, "yes or no, where anybody may ask"
    assert get(f"{url}/metrics").status == 404
    ready = get(f"{inner_url(url)}/readyz").json()
    assert ready["status"] == "ready"
    assert set(ready["checks"]) == {"database", "migrations", "clock", "redis", "storage", "keys", "home"}
    assert b'http_requests_total{service="core",status="200"}' in get(f"{inner_url(url)}/metrics").data
    schema = get(f"{url}/api/v1/schema", Accept="application/json").data.decode()
    assert "/api/v1/documents" in schema
    assert "/api/v1/contracts" not in schema


def test_its_own_rest_is_public_and_no_other_apps_is_served(documents):
    url, _ = documents
    person = Person()
    bearer = person._headers["Authorization"]
    missing = get(f"{url}/api/v1/documents/{uuid.uuid4()}", Authorization=bearer)
    assert (missing.status, missing.json()["code"]) == (404, "document_not_found")
    assert get(f"{url}/api/v1/documents/{uuid.uuid4()}").status == 401
    assert get(f"{url}/api/v1/contracts", Authorization=bearer).status == 404
    assert get(f"{url}/admin/").status == 404


def web_process(pid: int) -> int:
    """The process of the service's web server, a child of its supervisor."""
    for entry in Path("/proc").glob("[0-9]*"):
        status = (entry / "stat").read_text().rpartition(")")[2].split()
        if int(status[1]) == pid and b"landcontracts.server" in (entry / "cmdline").read_bytes():
            return int(entry.name)
    raise AssertionError("no web server")


def test_it_holds_no_secret_that_is_not_its_own(documents):
    _, process = documents
    for pid in (process.pid, web_process(process.pid)):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        names = {entry.partition(b"=")[0] for entry in environment}
        assert not {b"SEAM_MASTER_SECRETS", b"JWT_SIGNING_KEY", b"REFRESH_TOKEN_SECRET", b"DATABASE_OWNER_URL"} & names
        passwords = {urlsplit(os.environ["DATABASE_URL"]).password, *json.loads(os.environ[PASSWORDS]).values()}
        passwords.remove(json.loads(os.environ[PASSWORDS])["documents"])
        assert not [value for entry in environment for value in passwords if str(value).encode() in entry]
    pairs = json.loads(
        next(entry for entry in environment if entry.startswith(b"SEAM_PAIR_SECRETS=")).partition(b"=")[2]
    )
    assert all("documents" in pair.split(">") for pair in pairs)


def test_it_connects_as_a_role_that_has_its_own_tables_only(documents):
    url, _ = documents
    assert http.request("GET", f"{inner_url(url)}/readyz").status == 200
    query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'lc_documents'"
    with psycopg.connect(os.environ["DATABASE_URL"]) as shared:
        assert shared.execute(query).fetchall() == [("lc_documents",)]
    with as_service("documents") as connection:
        connection.execute("SELECT count(*) FROM documents_document")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT password FROM authentication_user")


def test_an_address_that_is_served_already_is_refused(documents, monkeypatch: pytest.MonkeyPatch):
    from django.core.management.base import CommandError

    from apps.core.management.commands import serve

    monkeypatch.setattr(serve, "STOP_SECONDS", 0.2)
    url, _ = documents
    with pytest.raises(CommandError, match="another process serves"), serve.held(url.removeprefix("http://")):
        pass


def test_a_socket_that_a_killed_process_left_behind_is_taken_over(tmp_path: Path):
    from apps.core.management.commands import serve

    path = tmp_path / "seam.sock"
    path.touch()
    with serve.held(f"unix://{path}"):
        assert not path.exists()


def call_status(url: str, *, caller: str, callee: str = "documents", method: str = "sweep", **headers: str) -> int:
    path = f"/internal/seam/{callee}/{method}"
    wire = to_wire(new_context(actor=SYSTEM), 2_000)
    import msgspec

    content = msgspec.json.encode({"context": wire, "arguments": {}})
    at, seal = signing.seal(caller=caller, callee=callee, method="POST", path=path, body=content)
    lines = f"X-Seam-Caller: {caller}\r\nX-Seam-Time: {at}\r\nX-Seam-Signature: {seal}\r\n"
    lines += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return http_client.post(http_client.Address(url), path, lines, content, 5)[0]


def test_it_answers_those_it_shares_a_secret_with_and_serves_only_itself(documents):
    url, _ = documents
    assert call_status(url, caller="monolith") == 200
    assert call_status(url, caller="contracts") == 403, "authentic, and contracts asks no such thing"
    assert (
        call_status(url, caller="test") == 401
    )  # the master secret would derive the pair's secret; this process does not have it
    assert call_status(url, caller="monolith", callee="contracts", method="list") == 401
    assert call_status(os.environ["WEB_URL"], caller="test") == 403, "authentic by the master secret, and no service"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_the_seam_is_not_reached_through_a_gateway(documents, header: str):
    url, _ = documents
    assert call_status(url, caller="monolith", **{header: "10.0.0.1"}) == 404
    assert call_status(os.environ["WEB_URL"], caller="monolith", **{header: "10.0.0.1"}) == 404


def test_a_toggle_is_in_effect_within_a_second_there_and_back(documents, remote, sale):
    seller, contract = sale
    assert answered_by(seller, contract) == "monolith"
    remote(100)
    assert until(seller, contract, "documents") < 1
    remote(0)
    assert until(seller, contract, "monolith") < 1


def test_a_lifted_out_service_honours_the_route_that_the_edge_decided(documents, remote, sale):
    seller, contract = sale
    shares.set_share("contracts", "remote", Decimal(100))
    remote(100)
    try:
        with lifted("contracts", "--no-worker") as (contracts_url, _):
            until(seller, contract, "documents")
            before = metric(contracts_url, 'seam_served_total{method="rights"')
            seller.get(f"documents?contract_id={contract}")
            # The monolith called documents; documents called contracts on the side that the edge had decided.
            assert metric(contracts_url, 'seam_served_total{method="rights"') > before
    finally:
        shares.set_share("contracts", "remote", Decimal(0))


def metric(url: str, start: str) -> float:
    lines = get(f"{inner_url(url)}/metrics").data.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


def test_a_shadowed_query_is_compared_and_linked_to_its_request(documents, sale):
    seller, contract = sale
    shares.set_share("documents", "shadow", Decimal(100))
    try:
        identity = uuid.uuid4().hex
        deadline = time.monotonic() + 10
        rows = []
        while not rows and time.monotonic() < deadline:
            seller._headers["X-Request-ID"] = identity
            assert seller.get(f"documents?contract_id={contract}") == []
            rows = list(ShadowComparison.objects.filter(request_id=identity, method="for_contracts"))
        assert rows
        assert {row.verdict for row in rows} == {"match"}
        assert {row.primary_side for row in rows} == {"home"}
    finally:
        shares.set_share("documents", "shadow", Decimal(0))


def test_it_can_be_called_over_http_from_this_process(documents, here: World):
    from apps.core.seam.client import registry
    from apps.core.seam.client.registry import call
    from apps.core.seam.client.transports import OverHttp
    from apps.documents.interface import DOCUMENTS, DocumentNotFound

    remotely = registry.routed_by({"documents": OverHttp(documents[0], caller="monolith")})
    with remotely, pytest.raises(DocumentNotFound):
        call(DOCUMENTS).get(ctx=here.ctx(), document_id=uuid.uuid4())

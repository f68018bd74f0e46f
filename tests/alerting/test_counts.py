"""Every answer is counted, also those that failed or were refused; strangers make no labels; what ends is known."""

import io
import os
import time
import uuid
from collections.abc import Iterator

import pytest
import urllib3
from django.test import Client
from prometheus_client import REGISTRY

from apps.authentication.gateways.metrics import SigningKeyCollector
from apps.core.observability import seam_metrics
from apps.core.rest.keys import keyring
from apps.core.seam.client import shadow
from apps.core.seam.server import endpoint
from apps.signatures.gateways.metrics import CertificateCollector
from apps.signatures.logic import certificates, revocation
from apps.signatures.models import RevocationList, TrustAnchor
from landcontracts.demo.certificates import Authority
from tests.alerting.test_asked import collected
from tests.journeys.people import Person
from tests.moves.conftest import until

http = urllib3.PoolManager(retries=False)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_a_view_that_raises_is_counted_as_500(monkeypatch: pytest.MonkeyPatch):
    before = counted("http_requests_total", service="core", status="500")
    monkeypatch.setattr(type(keyring), "key_set", lambda _: 1 / 0)
    client = Client(raise_request_exception=False)
    assert client.get("/.well-known/jwks.json").status_code == 500
    assert counted("http_requests_total", service="core", status="500") == before + 1


def test_refused_requests_are_counted_by_service_and_unknown_paths_make_no_label():
    before = counted("http_requests_total", service="contracts", status="401")
    nowhere = counted("http_requests_total", service="platform", status="404")
    client = Client()
    assert client.get("/api/v1/contracts").status_code == 401
    assert client.get(f"/{uuid.uuid4()}").status_code == 404
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert counted("http_requests_total", service="contracts", status="401") == before + 1
    assert counted("http_requests_total", service="platform", status="404") == nowhere + 1
    assert counted("http_requests_total", service="platform", status="400") >= 1


def test_calls_that_the_seam_refuses_are_counted_without_a_strangers_words():
    name = "seam_served_total"
    before = {status: counted(name, service="", method="", status=status) for status in ("401", "405", "404")}
    url = f"{os.environ['WEB_URL']}/internal/seam/documents/get"
    assert http.request("POST", url, body=b"{}").status == 401

    def answer(method: str, path: str, **more: str) -> None:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "CONTENT_LENGTH": "0",
            "wsgi.input": io.BytesIO(),
            **more,
        }
        endpoint.application(environ, lambda status, _: statuses.append(status))
        assert statuses

    answer("POST", "/internal/seam/документы/get")
    answer("GET", "/internal/seam/documents/get")
    answer("POST", "/internal/seam/documents/get", HTTP_VIA="1.1 gateway")
    after = {status: counted(name, service="", method="", status=status) for status in before}
    assert after == {status: count + 1 for status, count in before.items()}
    assert not any("документы" in str(sample.labels) for family in REGISTRY.collect() for sample in family.samples)


def test_a_fault_of_ours_is_counted_with_its_method(monkeypatch: pytest.MonkeyPatch):
    before = counted("seam_served_total", service="documents", method="get", status="500")

    def breaks(environ: object, target: endpoint._Target) -> None:
        target.service, target.method = "documents", "get"
        raise ZeroDivisionError

    monkeypatch.setattr(endpoint, "_answer", breaks)
    endpoint.application({"PATH_INFO": "/internal/seam/documents/get"}, lambda *_: None)
    assert counted("seam_served_total", service="documents", method="get", status="500") == before + 1


def test_a_series_of_mismatches_begins_with_none():
    shadow._counters("documents", "of_a_test")
    assert (
        REGISTRY.get_sample_value(
            "seam_shadow_compared_total", {"service": "documents", "method": "of_a_test", "verdict": "mismatch"}
        )
        == 0
    )


def test_times_of_calls_are_soon_exported_by_every_process():
    meter = seam_metrics.Meter("of a test", "get")
    meter.observe("home", "ok", 0.001)
    seam_metrics.keep_fresh()
    labels = {"service": "of a test", "method": "get", "side": "home", "outcome": "ok"}
    assert until(lambda: counted("seam_call_seconds_count", **labels), 10) == 1


@pytest.fixture
def authority() -> Iterator[Authority]:
    trusted = Authority(f'УЦ "Тест", {uuid.uuid4().hex}')
    anchor = TrustAnchor.objects.create(
        name="Тест", fingerprint=certificates.fingerprint(trusted.certificate), certificate=trusted.pem()
    )
    yield trusted
    RevocationList.objects.filter(authority=anchor.fingerprint).delete()
    anchor.delete()


def test_when_a_trusted_certificate_and_its_revocation_list_end_is_known(authority: Authority):
    collector = CertificateCollector()

    def ends(kind: str) -> list[float]:
        return [
            end
            for name, end in collected(collector).items()
            if f'kind="{kind}"' in name and authority.subject.rfc4514_string().split(",")[-1] in name
        ]

    assert ends("trust_anchor") == [authority.certificate.not_valid_after_utc.timestamp()]
    assert ends("revocation_list") == []
    published = revocation.read(authority.revoke(), [authority.certificate])
    RevocationList.objects.create(
        authority=published.authority, issuer=published.issuer, der=published.der, this_update=published.this_update
    )
    (end,) = ends("revocation_list")
    assert 29 * 86400 < end - time.time() < 31 * 86400
    TrustAnchor.objects.filter(fingerprint=published.authority).update(is_active=False)
    assert ends("trust_anchor") == []


def test_of_two_lists_with_one_issuer_the_one_that_ends_first_counts(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    collector = CertificateCollector()
    from datetime import UTC, datetime

    ends = [("revocation_list", "CN=same", datetime.fromtimestamp(number, UTC)) for number in (200, 100)]
    monkeypatch.setattr(collector, "_lists", lambda: iter(ends))
    assert collected(collector)['certificate_expiry_timestamp_seconds{kind="revocation_list",subject="CN=same"}'] == 100


def test_the_age_of_the_signing_key_is_counted_from_its_first_token():
    Person()
    name = f'jwt_signing_key_first_used_timestamp_seconds{{kid="{keyring.kid}"}}'
    first = collected(SigningKeyCollector())[name]
    assert 0 < time.time() - first < 86400
    Person()
    assert collected(SigningKeyCollector())[name] == first

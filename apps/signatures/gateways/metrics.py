"""When trusted authorities' certificates and their revocation lists expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily

from apps.signatures.models import RevocationList, TrustAnchor


class CertificateCollector:
    """Reads certificates at each scrape, and each revocation list, which may be large, only once."""

    def __init__(self) -> None:
        self._next_updates: dict[tuple[str, datetime], datetime | None] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`certificate_expiry_timestamp_seconds{kind,subject}`, the earliest per subject. Raises: django.db.Error."""
        ends: dict[tuple[str, str], float] = {}
        for kind, subject, end in (*self._anchors(), *self._lists()):
            ends[kind, subject] = min(end.timestamp(), ends.get((kind, subject), float("inf")))
        family = GaugeMetricFamily(
            "certificate_expiry_timestamp_seconds",
            "When a certificate ends, or a revocation list is out of date (unix time)",
            labels=["kind", "subject"],
        )
        for labels, end_at in sorted(ends.items()):
            family.add_metric(labels, end_at)
        yield family

    def _anchors(self) -> Iterator[tuple[str, str, datetime]]:
        for pem in TrustAnchor.objects.filter(is_active=True).values_list("certificate", flat=True):
            certificate = x509.load_pem_x509_certificate(pem.encode())
            yield "trust_anchor", certificate.subject.rfc4514_string(), certificate.not_valid_after_utc

    def _lists(self) -> Iterator[tuple[str, str, datetime]]:
        stored = {
            (authority, at): issuer
            for authority, at, issuer in RevocationList.objects.values_list("authority", "this_update", "issuer")
        }
        self._next_updates = {key: end for key, end in self._next_updates.items() if key in stored}
        missing = {authority for authority, at in stored if (authority, at) not in self._next_updates}
        for row in RevocationList.objects.filter(authority__in=missing) if missing else ():
            crl = x509.load_der_x509_crl(bytes(row.der))
            self._next_updates[row.authority, row.this_update] = crl.next_update_utc
        for key, issuer in stored.items():
            if (end := self._next_updates.get(key)) is not None:
                yield "revocation_list", issuer, end

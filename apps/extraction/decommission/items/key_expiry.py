"""keys_not_expiring: TLS, database roles and authorities' certificates are valid for more than a month from now."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from django.utils import timezone

from apps.extraction.decommission import prometheus
from apps.extraction.decommission.findings import Finding, fails, holds, not_known
from apps.extraction.state import stages

LIMIT = timedelta(days=30)
TIMEOUT_SECONDS = 5.0
ROLES = "SELECT rolname, rolvaliduntil FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'lc\\_%' ORDER BY rolname"
# Signers' authorities, as exported by the service that trusts them; a revocation list is renewed often, and has an
# alert.
CERTIFICATES = 'min by (kind, subject) (certificate_expiry_timestamp_seconds{kind!="revocation_list"})'


def keys_not_expiring(service: str) -> Finding:
    """The expiry of each key and certificate, the earliest first."""
    try:
        by_end: list[tuple[str, datetime]] = [*_tls(service), *_roles(service), *_certificates()]
        by_end.sort(key=lambda entry: entry[1])
        ends = dict(by_end)
    except prometheus.NoPrometheus as error:
        return fails(f"the authorities' certificates are not monitored: {error}")
    except (prometheus.Unanswered, OSError, ValueError) as error:
        return not_known(str(error))
    evidence: dict[str, Any] = {name: end.isoformat() for name, end in ends.items()}
    soon = [f"{name} on {end:%Y-%m-%d}" for name, end in ends.items() if end - timezone.now() < LIMIT]
    if soon:
        return fails(f"ends within {LIMIT.days} days: {', '.join(soon)}", **evidence)
    if not any(name.startswith("certificate ") for name in ends):
        return not_known("Prometheus knows no authority's certificate", **evidence)
    return holds(f"{len(ends)} keys and certificates last longer than {LIMIT.days} days", **evidence)


def _tls(service: str) -> Iterator[tuple[str, datetime]]:
    """The certificates of the public address, of both sides of the service, and of the storage."""
    addresses = {settings.PUBLIC_URL, settings.SEAM_AWAY.get(service, ""), settings.SEAM_HOME, _storage()}
    for address in sorted(filter(None, addresses)):
        parts = urlsplit(address)
        if parts.scheme == "https" and parts.hostname:
            yield f"TLS of {parts.hostname}", _end_of(parts.hostname, parts.port or 443)


def _end_of(host: str, port: int) -> datetime:
    """When a server's certificate expires, trusted or not. Raises: OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True) or b""
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc


def _roles(service: str) -> Iterator[tuple[str, datetime]]:
    """Roles whose password expires (VALID UNTIL), on both servers."""
    with stages.pair(service) as pair:
        for place, connection in (("shared", pair.shared), ("own", pair.own)):
            for name, until in connection.execute(ROLES).fetchall():
                if until is not None and until.year < 9999:
                    yield f"role {name} ({place})", until.astimezone(UTC)


def _certificates() -> Iterator[tuple[str, datetime]]:
    for series in prometheus.ask("query", query=CERTIFICATES)["result"]:
        labels = series["metric"]
        name = f"certificate {labels.get('kind', '')} {labels.get('subject', '')}"
        yield name, datetime.fromtimestamp(float(series["value"][1]), UTC)


def _storage() -> str:
    storages: Any = settings.STORAGES
    return str(storages["documents"]["OPTIONS"]["endpoint_url"] or "")

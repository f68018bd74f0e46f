"""keys_not_expiring: whatever ends by a date ends later than a month from now: TLS, database roles, authorities' certificates."""

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
# Signers' authorities, as the service that trusts them tells; a revocation list is made anew all the time, and has an alert.
CERTIFICATES = 'min by (kind, subject) (certificate_expiry_timestamp_seconds{kind!="revocation_list"})'


def keys_not_expiring(service: str) -> Finding:
    """The end of each, the earliest first."""
    try:
        found: list[tuple[str, datetime]] = [*_tls(service), *_roles(service), *_certificates()]
        found.sort(key=lambda one: one[1])
        ends = dict(found)
    except prometheus.NoPrometheus as error:
        return fails(f"nobody watches the authorities' certificates: {error}")
    except (prometheus.Unanswered, OSError, ValueError) as error:
        return not_known(str(error))
    seen: dict[str, Any] = {name: end.isoformat() for name, end in ends.items()}
    soon = [f"{name} on {end:%Y-%m-%d}" for name, end in ends.items() if end - timezone.now() < LIMIT]
    if soon:
        return fails(f"ends within {LIMIT.days} days: {', '.join(soon)}", **seen)
    if not any(name.startswith("certificate ") for name in ends):
        return not_known("Prometheus knows no authority's certificate", **seen)
    return holds(f"{len(ends)} keys and certificates last longer than {LIMIT.days} days", **seen)


def _tls(service: str) -> Iterator[tuple[str, datetime]]:
    """The certificates with which the addresses that matter here answer."""
    addresses = {settings.PUBLIC_URL, settings.SEAM_AWAY.get(service, ""), settings.SEAM_HOME, _storage()}
    for address in sorted(filter(None, addresses)):
        parts = urlsplit(address)
        if parts.scheme == "https" and parts.hostname:
            yield f"TLS of {parts.hostname}", _end_of(parts.hostname, parts.port or 443)


def _end_of(host: str, port: int) -> datetime:
    """When a server's certificate ends, whoever has signed it: trust is not the question here. Raises: OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        found = secured.getpeercert(binary_form=True) or b""
    return x509.load_der_x509_certificate(found).not_valid_after_utc


def _roles(service: str) -> Iterator[tuple[str, datetime]]:
    """Roles whose password ends (VALID UNTIL), on both servers."""
    with stages.pair(service) as found:
        for place, connection in (("shared", found.shared), ("own", found.own)):
            for name, until in connection.execute(ROLES).fetchall():
                if until is not None and until.year < 9999:
                    yield f"role {name} ({place})", until.astimezone(UTC)


def _certificates() -> Iterator[tuple[str, datetime]]:
    for one in prometheus.ask("query", query=CERTIFICATES)["result"]:
        labels = one["metric"]
        name = f"certificate {labels.get('kind', '')} {labels.get('subject', '')}"
        yield name, datetime.fromtimestamp(float(one["value"][1]), UTC)


def _storage() -> str:
    known: Any = settings.STORAGES
    return str(known["documents"]["OPTIONS"]["endpoint_url"] or "")

"""Whether the mail server takes connections, for `/readyz`."""

from __future__ import annotations

import socket

from django.conf import settings

from apps.core.health.probes import CONNECT_SECONDS, Dependency


def mail() -> tuple[Dependency, ...]:
    """The family `mail`. Optional: letters wait while no server takes them."""
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return ()
    return (Dependency("mail", _connect, optional=True),)


def _connect() -> None:
    socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), timeout=CONNECT_SECONDS).close()

"""The readiness probe of the mail server."""

from __future__ import annotations

import socket

from django.conf import settings

from apps.core.health.probes import CONNECT_SECONDS, Dependency


def mail() -> tuple[Dependency, ...]:
    """The dependencies of the family `mail`. Optional: e-mails wait while no server accepts them."""
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return ()
    return (Dependency("mail", _connect, optional=True),)


def _connect() -> None:
    socket.create_connection((settings.EMAIL_HOST, settings.EMAIL_PORT), timeout=CONNECT_SECONDS).close()

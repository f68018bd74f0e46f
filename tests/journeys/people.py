"""People who use the public REST API of the running web server, and a worker that delivers events in the background."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.core import topology
from apps.core.seam.events.relay import deliver_due
from landcontracts.demo.client import Client


class Person(Client):
    """A person with an account of this test alone."""

    def __init__(self, *roles: str, name: str = "Тестова Анна") -> None:
        super().__init__(os.environ["WEB_URL"], {})
        self.email = f"{secrets.token_hex(8)}@test.example"
        self.password = secrets.token_urlsafe(12)
        self.register(self.email, self.password, name, list(roles or ("seller", "buyer")))


@contextmanager
def worker() -> Iterator[None]:
    """Deliver all events for the length of a block."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if not sum(deliver_due(service, rounds=2) for service in topology.entries()):
                stop.wait(0.02)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)

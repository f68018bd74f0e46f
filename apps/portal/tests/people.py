"""People with browsers, and a count of a page's seam calls. No fixtures: each test creates its own people."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO
from typing import Any

import pikepdf
from django.test import Client
from django.urls import reverse

from apps.authentication.interface import AUTHENTICATION, Role, User
from apps.contracts.interface import CONTRACTS, Contract, LandPlot
from apps.core.interface.context import STRANGER, Actor, CallContext, new_context
from apps.core.interface.operations import Operation
from apps.core.seam.answer import Answer
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from apps.core.seam.client.transports import Transport
from apps.core.seam.events.relay import deliver_due
from apps.documents.interface import DOCUMENTS, Document

PASSWORD = "тихий-луг-у-реки"
BOTH = (Role.SELLER, Role.BUYER)


class Person:
    """An account with a browser that is signed in."""

    def __init__(self, *roles: Role, name: str = "Иван Полев", language: str = "en") -> None:
        self.email = f"{secrets.token_hex(8)}@portal.example"
        self.user: User = call(AUTHENTICATION).register(
            ctx=new_context(actor=STRANGER), email=self.email, password=PASSWORD, full_name=name, roles=roles or BOTH
        )
        self.browser = Client(headers={"accept-language": language})
        signed_in = self.post("sign-in", {"email": self.email, "password": PASSWORD})
        assert signed_in.status_code == 302, signed_in.content.decode()
        self.speak(language)

    def speak(self, language: str) -> None:
        self.browser.post(reverse("set_language"), {"language": language})

    @property
    def ctx(self) -> CallContext:
        return new_context(actor=Actor(id=self.user.id, roles=self.user.roles), locale="en", timeout_ms=20_000)

    def get(self, name: str, *arguments: Any, **query: str) -> Any:
        return self.browser.get(reverse(f"portal:{name}", args=arguments), query)

    def post(self, name: str, form: dict[str, Any] | None = None, *arguments: Any) -> Any:
        return self.browser.post(reverse(f"portal:{name}", args=arguments), form or {})

    def plot(self) -> LandPlot:
        return call(CONTRACTS).record_plot(
            ctx=self.ctx, cadastral_number=cadastral_number(), address="д. Луговая", area_m2=Decimal(1200)
        )

    def sells_to(self, buyer: Person, **more: Any) -> Contract:
        contract = call(CONTRACTS).create(
            ctx=self.ctx,
            buyer_id=buyer.user.id,
            land_plot_id=self.plot().id,
            price=Decimal("4500000.50"),
            terms="Колодец переходит с участком.",
            **more,
        )
        settle()
        return contract

    def upload(self, contract: Contract, body: bytes | None = None, name: str = "договор.pdf", **query: str) -> Any:
        body = pdf() if body is None else body
        query = {"type": "sale_contract", **query}
        return self.browser.post(
            reverse("portal:upload", args=[contract.id], query=query),
            body,
            content_type="application/pdf",
            headers={"x-file-name": name, "x-file-sha256": hashlib.sha256(body).hexdigest()},
        )


def text(response: Any) -> str:
    """The page."""
    return str(response.content.decode())


def document_of(person: Person, contract: Contract) -> Document:
    """The only document of a contract."""
    (document,) = call(DOCUMENTS).for_contracts(ctx=person.ctx, contract_ids=(contract.id,))
    return document


def pdf() -> bytes:
    """A PDF with unique content."""
    document, file = pikepdf.new(), BytesIO()
    document.add_blank_page()
    document.docinfo["/Title"] = secrets.token_hex(8)
    document.save(file)
    return file.getvalue()


def cadastral_number() -> str:
    return f"50:20:{secrets.randbelow(10**7):07d}:{secrets.randbelow(10**8)}"


def settle() -> None:
    """Deliver every event."""
    while sum(
        deliver_due(service) for service in ("contracts", "documents", "signatures", "workflow", "notifications")
    ):
        pass


class _Recorder:
    """A transport that records a page's own calls, not those between services."""

    def __init__(self, inner: Transport, calls: list[str], depth: list[int]) -> None:
        self.side, self.process = inner.side, inner.process
        self._inner, self._calls, self._depth = inner, calls, depth

    def send(self, operation: Operation, ctx: CallContext, arguments: bytes) -> Answer:
        if not self._depth:
            self._calls.append(f"{operation.service}.{operation.name}")
        self._depth.append(1)
        try:
            return self._inner.send(operation, ctx, arguments)
        finally:
            self._depth.pop()


@contextmanager
def counted() -> Iterator[list[str]]:
    """The names of the seam calls made by pages within the block."""
    calls: list[str] = []
    depth: list[int] = []
    with registry.routed_by(lambda service, _ctx: _Recorder(registry.local(service), calls, depth)):
        yield calls

"""The recorded uses: what people do on the pages, and what the clock does, in each state of a sale.

`VIEWS` change no data, refusals included, and share a sale; each of `CHANGES` has a sale of its own.
There is one use of each kind. The portal's own tests check what the pages show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.core import topology
from apps.core.database import primaries
from apps.core.interface.context import new_context
from apps.core.seam.client.registry import call
from apps.notifications.interface import NOTIFICATIONS
from apps.workflow.interface import WORKFLOW
from tests.pacts import sale as states
from tests.pacts.recorder import Recorder
from tests.pacts.sale import NOT_A_PICTURE, PICTURE, Sale

ROUNDS = 500
Use = Callable[[Sale, Recorder], None]


class Browser:
    """A person of a sale who is signed in, or a stranger. Its requests carry the sale's trace."""

    def __init__(self, sale: Sale, person: str = "") -> None:
        self._sale = sale
        self._client = Client(headers={"accept-language": "en", "traceparent": sale.world.trace})
        if person:
            credentials = {"email": sale.values[f"{person}_email"], "password": sale.values["password"]}
            self.post("sign-in", credentials, expect=302)

    def get(self, page: str, *values: str, expect: int = 200, **query: str) -> Any:
        """Open a page whose address is made of the sale's values."""
        return self._checked(self._client.get(self._address(page, values), query), expect)

    def post(self, page: str, form: dict[str, str | list[str]], *values: str, expect: int = 302) -> Any:
        """Send a form."""
        return self._checked(self._client.post(self._address(page, values), form), expect)

    def upload(self, body: bytes, mime_type: str = "image/png", *, expect: int = 201, **query: str) -> Any:
        """Send a file as the upload script does."""
        named = {"type": "sale_contract", **query}
        path = reverse("portal:upload", args=[self._sale.values["contract_id"]], query=named)
        headers = {"x-file-name": "contract.png", "x-file-sha256": hashlib.sha256(body).hexdigest()}
        return self._checked(self._client.post(path, body, content_type=mime_type, headers=headers), expect)

    def _address(self, page: str, values: tuple[str, ...]) -> str:
        return reverse(f"portal:{page}", args=[UUID(self._sale.values[value]) for value in values])

    def _checked(self, answer: Any, expect: int) -> Any:
        assert answer.status_code == expect, answer.content.decode()[-2000:]
        return answer


def view_as_a_new_person(sale: Sale, _: Recorder) -> None:
    """A new person's own pages, and a form with mistakes."""
    seller = Browser(sale, "seller")
    seller.get("profile")
    seller.get("plots")
    seller.get("contracts")
    registration = account(sale)
    Browser(sale).post("register", {**registration, "email": sale.values["seller_email"]}, expect=409)
    Browser(sale).post("register", {**registration, "password": "87654321"}, expect=422)
    plot = {"cadastral_number": "50:20:12", "address": "Field 7", "area_m2": "100", "category": "forest"}
    seller.post("plots", plot, expect=422)


def view_a_plot(sale: Sale, _: Recorder) -> None:
    """One's own plot and another's; invalid contracts."""
    seller, stranger = Browser(sale, "seller"), Browser(sale, "stranger")
    seller.get("plot", "plot_id")
    stranger.get("plot", "plot_id", expect=404)
    again = {"cadastral_number": sale.values["cadastral_number"], "area_m2": "100", "category": "forest"}
    seller.post("plots", {**again, "address": "Field 7"}, expect=409)
    wanted = contract(sale)
    seller.get("new-contract")
    seller.post("new-contract", {**wanted, "buyer_email": sale.values["new_email"]}, expect=422)
    seller.post("new-contract", {**wanted, "buyer_email": sale.values["seller_email"]}, expect=422)
    seller.post("new-contract", {**wanted, "lawyer_email": sale.values["stranger_email"]}, expect=422)


def view_a_draft(sale: Sale, _: Recorder) -> None:
    """The pages of a draft, and the refusals there."""
    seller, buyer, stranger = (Browser(sale, person) for person in ("seller", "buyer", "stranger"))
    seller.get("contracts")
    seller.get("contracts", cursor="###", expect=302)
    seller.get("plot", "plot_id")
    for page in ("contract", "history", "move", "terms"):
        seller.get(page, "contract_id")
        stranger.get(page, "contract_id", expect=404)
    seller.get("stage", "contract_id", "preparation_stage_id")
    stranger.get("stage", "contract_id", "preparation_stage_id", expect=404)
    seller.post("terms", {"price": "0", "terms": "No money"}, "contract_id", expect=422)
    buyer.post("terms", {"price": "1", "terms": "Less"}, "contract_id", expect=403)
    buyer.post("move", {"status": "signed", "comment": "So be it"}, "contract_id", expect=409)
    stage = ("contract_id", "preparation_stage_id")
    buyer.post("stage", {"status": "completed"}, *stage, expect=403)
    seller.post("stage", {"status": "completed", "actual_date": "2999-01-01"}, *stage, expect=422)
    seller.upload(b"words", "text/plain", expect=415)
    stranger.upload(PICTURE, expect=404)
    buyer.get("notifications")
    buyer.get("notifications", cursor="###", expect=302)
    buyer.get("unread")
    buyer.post("read", {}, "unknown_id", expect=404)


def view_a_document(sale: Sale, _: Recorder) -> None:
    """A document without a signature."""
    buyer, stranger = Browser(sale, "buyer"), Browser(sale, "stranger")
    document = ("contract_id", "document_id")
    buyer.get("contract", "contract_id")
    buyer.get("download", *document, expect=302)
    buyer.get("sign", *document)
    stranger.get("download", *document, expect=404)
    buyer.post("verify", {}, "contract_id", "unknown_id", expect=404)


def view_a_signature(sale: Sale, _: Recorder) -> None:
    """A document that the seller has signed is neither changed nor replaced."""
    seller, buyer = Browser(sale, "seller"), Browser(sale, "buyer")
    buyer.get("contract", "contract_id")
    buyer.get("sign", "contract_id", "document_id")
    seller.post("terms", {"price": "1", "terms": "Too late"}, "contract_id", expect=409)
    seller.upload(PICTURE, supersedes=sale.values["document_id"], expect=409)


def register(sale: Sale, _: Recorder) -> None:
    """A person opens an account."""
    Browser(sale).post("register", account(sale))


def change_profile(sale: Sale, _: Recorder) -> None:
    """A person changes their name."""
    form = {"full_name": "The seller, renamed", "phone": "", "locale": "en"}
    Browser(sale, "seller").post("profile", form)


def record_plot(sale: Sale, _: Recorder) -> None:
    """The seller records a plot."""
    number = sale.values["new_cadastral_number"]
    form = {"cadastral_number": number, "address": "Field 7", "area_m2": "1200.5", "category": "forest"}
    Browser(sale, "seller").post("plots", form)


def draw_up(sale: Sale, _: Recorder) -> None:
    """The seller draws up a contract with all of its people."""
    Browser(sale, "seller").post("new-contract", contract(sale))


def change_terms(sale: Sale, _: Recorder) -> None:
    """The seller asks for more."""
    Browser(sale, "seller").post("terms", {"price": "5000000", "terms": "The well goes with it."}, "contract_id")


def move(sale: Sale, _: Recorder) -> None:
    """The seller sends the contract for signing, and all parties are notified."""
    form = {"status": "awaiting_signatures", "comment": "Please sign."}
    Browser(sale, "seller").post("move", form, "contract_id")
    sale.deliver("contracts")


def complete_stage(sale: Sale, _: Recorder) -> None:
    """The seller has gathered the papers."""
    form = {"status": "completed", "comment": "All there."}
    Browser(sale, "seller").post("stage", form, "contract_id", "preparation_stage_id")


def upload(sale: Sale, recorder: Recorder) -> None:
    """The lawyer uploads a picture of the contract; its completion finds the bytes in storage."""
    with recorder.answering_in("documents.complete_upload", states.SENT):
        answer = Browser(sale, "lawyer").upload(PICTURE)
    sale.name(document_id=answer.json()["document_id"])


def upload_no_picture(sale: Sale, recorder: Recorder) -> None:
    """A file that is no picture is refused when its bytes are stored."""
    with recorder.answering_in("documents.complete_upload", states.SENT_WRONG):
        Browser(sale, "lawyer").upload(NOT_A_PICTURE, expect=422)
    sale.name(document_id=recorder.last("documents.complete_upload", "document_id"))


def read_one(sale: Sale, _: Recorder) -> None:
    """The buyer reads a message."""
    Browser(sale, "buyer").post("read", {}, "message_id")


def read_all(sale: Sale, _: Recorder) -> None:
    """The buyer has read everything."""
    Browser(sale, "buyer").post("read-all", {})


def verify(sale: Sale, _: Recorder) -> None:
    """The buyer has a signature checked again."""
    Browser(sale, "buyer").post("verify", {}, "contract_id", "signature_id")


def fall_behind(sale: Sale, _: Recorder) -> None:
    """The clock finds a stage past its date, and all parties are notified."""
    with connections[primaries.database_of("workflow")].cursor() as cursor:  # nothing else makes a date pass
        cursor.execute(
            "UPDATE workflow_stage SET planned_date = '2020-01-01' WHERE id = %s", [sale.values["preparation_stage_id"]]
        )
    call(WORKFLOW).find_overdue(ctx=sale.world.ctx())
    sale.deliver("workflow")


def send_mail(_: Sale, recorder: Recorder) -> None:
    """The clock sends the e-mails about one sale, in a round of their own."""
    for _round in range(ROUNDS):  # first the e-mails of other sales
        report = call(NOTIFICATIONS).send_mail(ctx=new_context())
        if not report.sent + report.failed:
            break
    sale = recorder.reach(states.DRAFT)
    call(NOTIFICATIONS).send_mail(ctx=sale.world.ctx())


def deliver_all(sale: Sale, _: Recorder) -> None:
    """Deliver the events of the last step of the sale."""
    sale.deliver(*topology.entries())


def account(sale: Sale) -> dict[str, str | list[str]]:
    """The form of a new person."""
    credentials = {"email": sale.values["new_email"], "password": sale.values["password"]}
    return {"full_name": "A new person", "phone": "", "roles": ["seller", "buyer"], **credentials}


def contract(sale: Sale) -> dict[str, str]:
    """The form of a contract between the sale's people."""
    people = {f"{part}_email": sale.values[f"{part}_email"] for part in ("buyer", "lawyer")}
    terms = {"price": "4500000.00", "currency": "RUB", "terms": "Paid at once."}
    return {"land_plot_id": sale.values["plot_id"], **people, **terms}


VIEWS: dict[str, Use] = {
    states.PEOPLE: view_as_a_new_person,
    states.PLOT: view_a_plot,
    states.DRAFT: view_a_draft,
    states.DOCUMENT: view_a_document,
    states.SIGNATURE: view_a_signature,
}
CHANGES: tuple[tuple[str, Use], ...] = (
    (states.PEOPLE, register),
    (states.PEOPLE, change_profile),
    (states.PEOPLE, record_plot),
    (states.PLOT, draw_up),
    (states.DRAFT, change_terms),
    (states.DRAFT, move),
    (states.DRAFT, complete_stage),
    (states.DRAFT, upload),
    (states.DRAFT, upload_no_picture),
    (states.DRAFT, read_one),
    (states.DRAFT, read_all),
    (states.DRAFT, fall_behind),
    (states.PEOPLE, send_mail),
    (states.REFUSED, deliver_all),
    (states.SIGNATURE, verify),
    (states.FINISHED, deliver_all),
)


def record() -> Recorder:
    """Play all uses."""
    recorder = Recorder()
    with recorder.running():
        for state, view in VIEWS.items():
            view(recorder.reach(state), recorder)
        for state, change in CHANGES:
            change(recorder.reach(state), recorder)
    return recorder

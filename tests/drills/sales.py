"""A steady load of whole sales, each by three people, and the facts that the databases must hold afterwards."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import time
import traceback
from typing import Any, NamedTuple, Self

from landcontracts.demo.certificates import Authority, Signer
from landcontracts.demo.client import Refused
from landcontracts.demo.sale import Sale
from tests.drills.clients import DrillClient, Tally

PAUSE_SECONDS = 0.02
# What an administrator copies meanwhile: a small table, into its service's own database.
COPIED_TABLE, COPIED_SERVICE = "contracts_landplot", "contracts"


class Person(NamedTuple):
    """A person with an account, and a token that outlives the drill."""

    id: str
    email: str
    full_name: str
    token: str


class Trio(NamedTuple):
    """Seller, buyer and lawyer with the parties' certificates."""

    seller: Person
    buyer: Person
    lawyer: Person
    signers: tuple[Signer, Signer]


class Fact(NamedTuple):
    """What was acknowledged of one completed sale."""

    cadastral_number: str
    plot_id: str
    contract_id: str
    document_id: str
    sha256: str
    parties: tuple[str, str, str]
    newcomer: str


class Load:
    """Sales in several threads until it is stopped; each sale under way is then finished."""

    def __init__(self, url: str, tally: Tally, trios: list[Trio], pdf: bytes) -> None:
        self.tally = tally
        self.facts: list[Fact] = []
        self.broken: list[str] = []
        self._url = url
        self._pdf = pdf
        self._stop = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._play, args=(trio,), name="sales") for trio in trios]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _play(self, trio: Trio) -> None:
        while not self._stop.is_set():
            try:
                self.facts.append(self._one(trio))
            except Exception as error:
                self.broken.append(f"{error}\n{traceback.format_exc(limit=-3)}")
                self.tally.add(0.0, f"sale: {error}")
                time.sleep(0.5)

    def _one(self, trio: Trio) -> Fact:
        people = [DrillClient(self._url, self.tally, pause=PAUSE_SECONDS) for _ in range(3)]
        for client, person in zip(people, trio[:3], strict=True):
            client.authenticate(person.token, {"id": person.id, "full_name": person.full_name, "email": person.email})
        newcomer = self._register()
        sale = _PreparedSale(*people, pdf=self._pdf)
        number = f"50:20:{secrets.randbelow(10**7):07d}:{next(self._numbers)}{secrets.randbelow(10**6)}"
        sale.record_plot(number, "Одинцово, поле 7", "1200.50")
        sale.draw_up("4750000.00")
        sale.wait_for_workflow()
        sale.upload_contract()
        sale.sign(sale.seller, trio.signers[0])
        sale.sign(sale.buyer, trio.signers[1])
        sale.wait_for_status("signed")
        sale.finish_stage(sale.seller, "payment", "")
        sale.wait_for_status("in_registration")
        sale.finish_stage(sale.lawyer, "registration", "")
        sale.finish_stage(sale.buyer, "handover", "")
        sale.wait_for_status("completed")
        return Fact(
            cadastral_number=sale.plot["cadastral_number"],
            plot_id=sale.plot["id"],
            contract_id=sale.contract["id"],
            document_id=sale.document["id"],
            sha256=hashlib.sha256(self._pdf).hexdigest(),
            parties=(trio.seller.id, trio.buyer.id, trio.lawyer.id),
            newcomer=newcomer,
        )

    def _register(self) -> str:
        client = DrillClient(self._url, self.tally, pause=PAUSE_SECONDS)
        email = f"{secrets.token_hex(8)}@drill.example"
        client.register(email, secrets.token_urlsafe(12), "Новый Участник", ["buyer"])
        client.get("notifications?limit=5")
        return email


class _PreparedSale(Sale):
    """A sale whose contract is typeset already: the drill loads the platform, not the typesetter."""

    def __init__(self, *people: DrillClient, pdf: bytes) -> None:
        super().__init__(*people)
        self.pdf = pdf

    def upload_contract(self) -> str:
        """The lawyer uploads it through the server."""
        answer = self.lawyer.upload(
            "Договор.pdf", self.pdf, "application/pdf", contract_id=self.contract["id"], document_type="sale_contract"
        )
        self.document = answer["document"]
        return ""


def trios(people: list[Person], authority: Authority) -> list[Trio]:
    """Three people each, the parties with certificates of a trusted authority."""
    trios_ = []
    for seller, buyer, lawyer in zip(people[::3], people[1::3], people[2::3], strict=False):
        signers = tuple(authority.issue(person.full_name, person.email, "ec") for person in (seller, buyer))
        trios_.append(Trio(seller, buyer, lawyer, (signers[0], signers[1])))
    return trios_


def administrators_work(url: str, tally: Tally, token: str, stop: threading.Event, started: list[str]) -> None:
    """Copies of a small table, one after the other: what `datasync` has to do while it is relocated."""
    client = DrillClient(url, tally, pause=PAUSE_SECONDS)
    client.authenticate(token, {})
    while not stop.is_set():
        body: dict[str, Any] = {
            "source_table": COPIED_TABLE,
            "target_service": COPIED_SERVICE,
            "sync_type": "full",
        }
        try:
            sync = client.post("sync/start", body)
            started.append(sync["sync_id"])
            client.wait_for(f"sync/{sync['sync_id']}", lambda sync: sync["status"] not in {"pending", "running"})
        except (Refused, ConnectionError, TimeoutError) as error:
            tally.add(0.0, f"sync: {error}")
            stop.wait(0.5)

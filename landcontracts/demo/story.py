"""Plays the sale, prints each step, and writes a report; creates the people and sales of `make run`."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from landcontracts.demo.certificates import Authority, Signer
from landcontracts.demo.client import Client, Refused
from landcontracts.demo.sale import Sale, certificates_for
from landcontracts.embedded.stack import Stack

ADMINISTRATOR = "admin@landcontracts.example"
PEOPLE = {
    "seller": ("Иванова Мария Петровна", ["seller", "buyer"]),
    "buyer": ("Смирнов Алексей Игоревич", ["seller", "buyer"]),
    "lawyer": ("Кузнецова Ольга Андреевна", ["lawyer"]),
}


class Account(NamedTuple):
    """The credentials of an account."""

    email: str
    password: str


def make_administrator(stack: Stack) -> Account:
    """The administrator's account, created once."""
    password = stack.secrets["DEMO_PASSWORD"]
    stack.manage("ensure_administrator", ADMINISTRATOR, ADMINISTRATOR_PASSWORD=password)
    return Account(ADMINISTRATOR, password)


class Narrator:
    """Prints each step in plain words and measures its time."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def __call__(self, words: str, step: Callable[[], str]) -> None:
        print(f"  {len(self.steps) + 1:>2}. {words}", end="", flush=True)
        started = time.perf_counter()
        outcome = step()
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        self.steps.append({"name": words, "ms": milliseconds})
        print(f"\n      {outcome}  [{milliseconds:.0f} ms]", flush=True)


def play(url: str, administrator: Account, output: Path) -> int:
    """Play one whole sale and write `output`; returns the exit status."""
    print(f"\nOne land sale through {url}/api/v1\n")
    answered: dict[str, str] = {}
    step = Narrator()
    authority, unknown_authority = Authority("Demo certificate authority"), Authority("Unknown authority")
    people = {name: Client(url, answered) for name in PEOPLE}
    step("The administrator trusts a certificate authority", lambda: _trust(url, administrator, authority, answered))
    step("Seller, buyer and lawyer register and log in", lambda: _enter(people))
    seller, buyer, lawyer = people["seller"], people["buyer"], people["lawyer"]
    signers = certificates_for(authority, seller, buyer)
    unknown = unknown_authority.issue(buyer.user["full_name"], buyer.user["email"], "ed25519")
    sale = Sale(seller, buyer, lawyer)
    number = f"50:20:{secrets.randbelow(10**7):07d}:{secrets.randbelow(9000) + 1000}"
    step(
        "The seller records the plot",
        lambda: sale.record_plot(f"{number[:6]} {number[6:]}", "Одинцово, поле 7", "1200.50"),
    )
    step("The seller draws up the contract", lambda: sale.draw_up("4750000.00"))
    step("The workflow starts by itself", sale.wait_for_workflow)
    step("The seller puts a register extract straight into storage", sale.upload_extract)
    step("The lawyer uploads the contract of sale", sale.upload_contract)
    step("A forged signature is tried", lambda: sale.try_bad_signature(buyer, signers[1], forged=True))
    step("A certificate of an unknown authority is tried", lambda: sale.try_bad_signature(buyer, unknown, forged=False))
    step("The seller signs", lambda: sale.sign(seller, signers[0]))
    step("The buyer signs", lambda: sale.sign(buyer, signers[1]))
    step("Both signatures hold: the contract becomes signed", lambda: sale.wait_for_status("signed"))
    step("The seller confirms the payment", lambda: sale.finish_stage(seller, "payment", "Получено полностью"))
    step("The contract goes into registration", lambda: sale.wait_for_status("in_registration"))
    step("The lawyer reports the registration of title", lambda: sale.finish_stage(lawyer, "registration", ""))
    step("The buyer takes the plot over", lambda: sale.finish_stage(buyer, "handover", ""))
    step("The sale is complete", lambda: sale.wait_for_status("completed"))
    step("The document is downloaded and every signature checked again", sale.check_again)
    report = _report(sale, people, step.steps, answered)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    print(
        f"\nDone: contract {report['contract']['number']} is {report['contract']['status']}. See {output.name} in build/."
    )
    return 0


def _trust(url: str, account: Account, authority: Authority, answered: dict[str, str]) -> str:
    administrator = Client(url, answered)
    administrator.log_in(*account)
    anchor = administrator.post("trust-anchors", {"name": "Demo authority", "certificate": authority.pem()})
    administrator.get("sync")
    return f"{anchor['certificate']['subject']}, SHA-256 {anchor['certificate']['fingerprint'][:12]}…"


def _enter(people: dict[str, Client]) -> str:
    for name, client in people.items():
        full_name, roles = PEOPLE[name]
        client.register(f"{name}-{secrets.token_hex(4)}@demo.example", secrets.token_urlsafe(12), full_name, roles)
    return ", ".join(client.user["email"] for client in people.values())


def _report(
    sale: Sale, people: dict[str, Client], steps: list[dict[str, Any]], answered: dict[str, str]
) -> dict[str, Any]:
    buyer = sale.buyer
    contract = buyer.get(f"contracts/{sale.contract['id']}")
    documents = buyer.get(f"documents?contract_id={contract['id']}")
    accepted = [item for item in sale.signatures() if item["status"] == "signed"]
    last = sale.workflow(lambda workflows: workflows[0]["status"] == "completed")
    notifications = {name: _settled_count(client) for name, client in people.items()}
    history = buyer.get(f"contracts/{contract['id']}/history")
    return {
        "contract": {
            "id": contract["id"],
            "number": contract["number"],
            "status": contract["status"],
            "history": [{key: entry[key] for key in ("status", "at", "by")} for entry in history],
        },
        "documents": [
            {"id": item["id"], "type": item["document_type"], "size": item["file_size"], "sha256": item["sha256"]}
            for item in documents
        ],
        "signatures": [
            {
                "id": item["id"],
                "signer": item["signer_id"],
                "algorithm": item["algorithm"],
                "verdict": item["verification_result"]["verdict"],
            }
            for item in accepted
        ],
        "stages": [
            {key: stage[key] for key in ("name", "status", "planned_date", "actual_date")} for stage in last["stages"]
        ],
        "notifications": notifications,
        "steps": steps,
        "services": dict(sorted(answered.items())),
        "refused": sale.refused,
    }


def _settled_count(client: Client) -> int:
    """The number of a person's notifications, once the last one, about the completion, has arrived."""
    page = client.wait_for(
        "notifications?limit=200",
        lambda page: any("completed" in item["title"] for item in page["items"]),
    )
    return len(page["items"])


def furnish(url: str, administrator: Account, folder: Path) -> list[tuple[str, str]]:
    """Create demo people, one complete sale and two under way, once; returns the people's log-ins."""
    answered: dict[str, str] = {}
    log_ins = {name: f"{name}@landcontracts.example" for name in PEOPLE}
    people = {name: Client(url, answered) for name in PEOPLE}
    listed = [("administrator", administrator.email), *log_ins.items()]
    try:
        people["seller"].log_in(log_ins["seller"], administrator.password)
    except Refused:
        _furnish_first_time(url, administrator, folder, people, log_ins)
    return listed


def _furnish_first_time(
    url: str, administrator: Account, folder: Path, people: dict[str, Client], log_ins: dict[str, str]
) -> None:
    authority = Authority("Demo certificate authority")
    _trust(url, administrator, authority, {})
    for name, client in people.items():
        full_name, roles = PEOPLE[name]
        client.register(log_ins[name], administrator.password, full_name, roles)
    seller, buyer, lawyer = people["seller"], people["buyer"], people["lawyer"]
    signers = certificates_for(authority, seller, buyer)
    for name, signer in zip(("seller", "buyer"), signers, strict=True):
        signer.save(folder / "certificates", name)
    _play_completely(Sale(seller, buyer, lawyer), signers)
    waiting = Sale(seller, buyer, lawyer)
    waiting.record_plot("50:20:0010203:1188", "Московская обл., Одинцово, участок 8", "900")
    waiting.draw_up("3200000.00")
    waiting.upload_contract()
    waiting.sign(seller, signers[0])
    draft = Sale(seller, buyer, lawyer)
    draft.record_plot("77:09:000405:21", "Москва, Тверской проезд, участок 2", "640.25")
    draft.draw_up("18900000.00")


def _play_completely(sale: Sale, signers: tuple[Signer, Signer]) -> None:
    sale.record_plot("50:20:0010203:1187", "Московская обл., Одинцово, участок 7", "1200.50")
    sale.draw_up("4750000.00")
    sale.upload_contract()
    sale.sign(sale.seller, signers[0])
    sale.sign(sale.buyer, signers[1])
    sale.finish_stage(sale.seller, "payment", "Получено полностью")
    sale.finish_stage(sale.lawyer, "registration", "")
    sale.wait_for_status("in_registration")
    sale.finish_stage(sale.buyer, "handover", "")

"""One land sale, step by step, as its three people do it. Each method is one step of a person."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from landcontracts.demo import paper
from landcontracts.demo.certificates import Authority, Signer
from landcontracts.demo.client import Client, Refused

TERMS = "Оплата производится в течение пяти дней после подписания договора."


class Sale:
    """A sale by a seller to a buyer, led by a lawyer."""

    def __init__(self, seller: Client, buyer: Client, lawyer: Client) -> None:
        self.seller, self.buyer, self.lawyer = seller, buyer, lawyer
        self.plot: dict[str, Any] = {}
        self.contract: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.pdf = b""
        self.refused: list[dict[str, Any]] = []

    def record_plot(self, cadastral_number: str, address: str, area_m2: str) -> str:
        """The seller records the plot."""
        body = {"cadastral_number": cadastral_number, "address": address, "area_m2": area_m2}
        self.plot = self.seller.post("land-plots", body)
        return f"{self.plot['cadastral_number']}, {self.plot['area_m2']} m2"

    def draw_up(self, price: str) -> str:
        """The seller draws up the contract; its workflow starts by event."""
        body = {
            "buyer_id": self.buyer.user["id"],
            "lawyer_id": self.lawyer.user["id"],
            "land_plot_id": self.plot["id"],
            "price": price,
            "currency": "RUB",
            "terms": TERMS,
        }
        self.contract = self.seller.post("contracts", body)
        return f"{self.contract['number']}, {self.contract['price']} {self.contract['currency']}"

    def wait_for_workflow(self) -> str:
        """Wait until the workflow has started by event."""
        stages = self.workflow()["stages"]
        return " > ".join(stage["name"] for stage in stages)

    def workflow(self, good: Any = bool) -> dict[str, Any]:
        """The contract's workflow, once it is `good`."""
        workflows = self.lawyer.wait_for(f"workflows?contract_id={self.contract['id']}", good)
        return dict(workflows[0])

    def upload_contract(self) -> str:
        """The lawyer typesets the contract of sale and uploads it through the server."""
        seller, buyer = self.seller.user["full_name"], self.buyer.user["full_name"]
        self.pdf = paper.sale_contract(self.contract, self.plot, seller=seller, buyer=buyer)
        name = f"Договор {self.contract['number']}.pdf"
        answer = self.lawyer.upload(
            name, self.pdf, "application/pdf", contract_id=self.contract["id"], document_type="sale_contract"
        )
        self.document = answer["document"]
        return f"{name}, {len(self.pdf)} bytes, sha256 {self.document['sha256'][:12]}…"

    def upload_extract(self) -> str:
        """The seller puts an extract directly into storage by a ticket, and completes it."""
        content = paper.sale_contract(self.contract, self.plot, seller="Выписка из ЕГРН", buyer="—")
        ticket = self.seller.post(
            "documents/uploads",
            {
                "contract_id": self.contract["id"],
                "document_type": "register_extract",
                "original_filename": "Выписка из ЕГРН.pdf",
                "mime_type": "application/pdf",
                "file_size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
        status = self.seller.put(ticket, content)
        document = self.seller.post(f"documents/{ticket['document']['id']}/complete")
        return f"PUT answered {status}, the document is {document['status']}"

    def try_bad_signature(self, person: Client, signer: Signer, *, forged: bool) -> str:
        """A signature that must be refused: over other bytes, or by an unknown authority's certificate."""
        try:
            self._sign(person, signer, self.pdf + b"\n" if forged else self.pdf)
        except Refused as error:
            result = error.problem["verification_result"]
            self.refused.append(
                {
                    "attempt": "forged signature" if forged else "unknown authority",
                    "signer": person.user["full_name"],
                    "verdict": result["verdict"],
                    "sub_indication": result["sub_indication"],
                }
            )
            return f"{result['verdict']} ({result['sub_indication']}): {result['reason']}"
        raise AssertionError("a signature that must not pass was accepted")

    def sign(self, person: Client, signer: Signer) -> str:
        """A party signs the exact bytes of the contract of sale."""
        answer = self._sign(person, signer, self.pdf)
        return f"{answer['signature']['algorithm']}: {answer['verification_result']['verdict']}"

    def _sign(self, person: Client, signer: Signer, body: bytes) -> Any:
        value = base64.b64encode(signer.sign(body)).decode()
        return person.post(
            "signatures/sign",
            {"document_id": self.document["id"], "signature_data": value, "certificate": signer.pem()},
        )

    def wait_for_status(self, status: str) -> str:
        """Wait until events have brought the contract into a status."""
        path = f"contracts/{self.contract['id']}"
        self.contract = self.buyer.wait_for(path, lambda contract: contract["status"] == status)
        return str(self.contract["status"])

    def finish_stage(self, person: Client, name: str, comment: str) -> str:
        """The responsible person completes a stage; the next one starts."""
        under_way = lambda flows: bool(flows) and flows[0]["current_stage"] == name  # noqa: E731 - used once, here
        workflow = self.workflow(under_way)
        stage = next(stage for stage in workflow["stages"] if stage["name"] == name)
        path = f"workflows/{workflow['id']}/stages/{stage['id']}/update"
        after = person.post(path, {"status": "completed", "comment": comment})
        return f"now at {after['current_stage'] or 'the end'}"

    def check_again(self) -> str:
        """The buyer downloads the document by its link, and has every signature verified again."""
        link = self.buyer.get(f"documents/{self.document['id']}/download")
        content, _ = self.buyer.fetch(link["url"])
        if content != self.pdf:
            raise AssertionError("the downloaded bytes are not the uploaded ones")
        accepted = [item for item in self.signatures() if item["status"] == "signed"]
        verdicts = [self.buyer.post(f"signatures/{item['id']}/verify")["verdict"] for item in accepted]
        return f"bytes are equal; {', '.join(verdicts)}"

    def signatures(self) -> list[dict[str, Any]]:
        """Every signature of the contract of sale, refused ones too."""
        return list(self.buyer.get(f"signatures?document_id={self.document['id']}"))


def certificates_for(authority: Authority, seller: Client, buyer: Client) -> tuple[Signer, Signer]:
    """The seller's RSA and the buyer's ECDSA certificate."""
    return (
        authority.issue(seller.user["full_name"], seller.user["email"], "rsa"),
        authority.issue(buyer.user["full_name"], buyer.user["email"], "ec"),
    )

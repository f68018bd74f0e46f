"""The people, files and requests of the drill of slow clients."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

from apps.core.interface.context import SYSTEM, new_context
from apps.core.seam import signing
from apps.core.seam.client.registry import call
from apps.signatures.interface import SIGNATURES
from landcontracts.demo.certificates import Authority
from tests.drills.clients import DrillClient, Tally
from tests.world import cadastral_number, pdf

PEOPLE = 12
PASSWORD = "slow-horse-battery"


class Cases:
    """People and files are made at the beginning; people log in for each kind, since a token ends before the drill."""

    def __init__(self, url: str, behind: str, *, megabytes: int) -> None:
        self._hosts = {"": urlsplit(url).netloc, "_gateway": urlsplit(behind).netloc}
        self.people = [self._person(url) for _ in range(PEOPLE)]
        seller, buyer = self.people[:2]
        plot = seller.post("land-plots", {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "600"})
        self.contract = seller.post(
            "contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "1500000"}
        )
        self.signatures = self._signed(seller, megabytes)

    @property
    def list_request(self) -> str:
        """What everyone else asks."""
        return self._head("GET", "/api/v1/contracts?limit=20", self._logged_in()[0], self._hosts[""])

    def _logged_in(self) -> list[DrillClient]:
        for person in self.people:
            person.log_in(person.user["email"], PASSWORD)
        return self.people

    def _person(self, url: str) -> DrillClient:
        client = DrillClient(url, Tally())
        client.register(f"{secrets.token_hex(8)}@slow.example", PASSWORD, "Тестов Тест", ["seller", "buyer"])
        return client

    def _signed(self, seller: DrillClient, megabytes: int) -> list[str]:
        """The ids of signatures of people over one large document."""
        authority = Authority("Slow authority")
        call(SIGNATURES).trust(ctx=new_context(actor=SYSTEM), name="slow", certificate=authority.pem())
        body = _large(megabytes)
        document = seller.upload("large.pdf", body, "application/pdf", contract_id=self.contract["id"],
                                 document_type="other")["document"]  # fmt: skip
        signer = authority.issue(seller.user["full_name"], seller.user["email"], "rsa")
        sent = {
            "document_id": document["id"],
            "signature_data": base64.b64encode(signer.sign(body)).decode(),
            "certificate": signer.pem(),
        }
        return [seller.post("signatures/sign", sent)["signature_id"]]

    def _head(self, method: str, path: str, person: DrillClient | None, host: str, **headers: str) -> str:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: application/json"]
        if person is not None:
            lines.append(f"Authorization: {person._headers['Authorization']}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""])

    def verify_requests(self, count: int) -> list[str]:
        """So many verifications, all by one person."""
        path = f"/api/v1/signatures/{self.signatures[0]}/verify"
        person = self._logged_in()[0]
        return [self._head("POST", path, person, self._hosts[""], Content_Length="0") for _ in range(count)]

    def trickles(self) -> Iterator[tuple[str, list[str]]]:
        """The kinds of slow requests, by name: the headers after which hardly anything follows."""
        json_body = {"Content_Type": "application/json", "Content_Length": "500"}
        form = {"Content_Type": "application/x-www-form-urlencoded", "Content_Length": "500"}
        file = {"Content_Type": "multipart/form-data; boundary=b", "Content_Length": "20000000"}
        seam = {"X_Seam_Caller": "monolith", "X_Seam_Time": "1", "X_Seam_Signature": "v1=0"}
        for suffix, host in self._hosts.items():
            yield f"log_in{suffix}", [self._head("POST", "/api/v1/auth/login", None, host, **json_body)]
            yield f"form{suffix}", [self._head("POST", "/sign-in/", None, host, **form)]
            people = [None, *self._logged_in()]
            yield (
                f"upload{suffix}",
                [self._head("POST", "/api/v1/documents/upload", who, host, **file) for who in people],
            )
        host, path = self._hosts[""], "/internal/seam/documents/sweep"
        forged = {**json_body, "X_Seam_Body_SHA256": signing.digest_of(b"")}
        yield (
            "seam",
            [
                self._head("POST", path, None, host, **seam, **json_body),
                self._head("POST", path, None, host, **seam, **forged),
            ],
        )


def _large(megabytes: int) -> bytes:
    """A whole PDF of so many megabytes, most of them in one stream that nothing shows."""
    import io

    import pikepdf

    with pikepdf.open(io.BytesIO(pdf())) as opened:
        opened.Root["/Filler"] = opened.make_stream(secrets.token_bytes(megabytes * 2**20))
        output = io.BytesIO()
        opened.save(output, compress_streams=False)
    return output.getvalue()

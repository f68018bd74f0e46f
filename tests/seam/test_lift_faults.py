"""A lifted-out service that hangs, dies, comes back and stops."""

import os
import signal
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from apps.extraction.routing import shares
from landcontracts.demo.paper import sale_contract
from tests.seam.sales import answered_by, until
from tests.seam.servers import lifted


@pytest.fixture
def remote():
    yield lambda percent: shares.set_share("documents", "remote", Decimal(percent))
    shares.set_share("documents", "remote", Decimal(0))


def test_requests_succeed_when_it_hangs_dies_and_comes_back(remote, sale):
    seller, contract = sale
    remote(100)
    with lifted("documents", "--no-worker") as (_, process):
        until(seller, contract, "documents")
        os.killpg(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        hung = [answered_by(seller, contract) for _ in range(20)]
        assert set(hung) == {"monolith"}
        assert time.monotonic() - started < 12  # five calls wait for it, then the breaker is open
        os.killpg(process.pid, signal.SIGCONT)
        until(seller, contract, "documents", seconds=10)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert [answered_by(seller, contract) for _ in range(10)] == ["monolith"] * 10
    with lifted("documents", "--no-worker"):
        until(seller, contract, "documents", seconds=10)


def test_its_events_are_relayed_by_its_own_worker(sale):
    """The monolith of this stack has no worker, so only the service itself can have delivered."""
    seller, contract = sale
    body = sale_contract(
        {"number": "1", "price": "1", "cadastral_number": "-", "currency": "RUB", "terms": ""},
        {"address": "-", "area_m2": "1"},
        seller="А",
        buyer="Б",
    )
    with lifted("documents"):
        seller.upload("Договор.pdf", body, "application/pdf", contract_id=contract, document_type="sale_contract")
        answer = seller.wait_for(
            f"contracts/{contract}", lambda body: "no_sale_contract" not in body["blockers"], seconds=20
        )
    assert answer["status"] == "draft"


def test_it_stops_on_sigterm_and_leaves_nothing_behind():
    with lifted("notifications") as (_, process):
        group = process.pid
        process.terminate()
        assert process.wait(20) == 0
        # The web server's own child follows its parent within a moment.
        deadline = time.monotonic() + 5
        while (left := _members(group)) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert left == []


def test_it_ends_when_its_supervisor_is_killed():
    with lifted("notifications") as (_, process):
        group = process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        deadline = time.monotonic() + 20
        while (left := _members(group)) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert left == []


def _members(group: int) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/stat") if _group(path) == group]


def _group(path: Path) -> int:
    try:
        return int(path.read_text().rpartition(")")[2].split()[2])
    except OSError:
        return 0

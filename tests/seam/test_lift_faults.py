"""A lifted-out service that hangs, dies, comes back and stops."""

import os
import signal
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import urllib3

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


def _children(pid: int) -> dict[int, str]:
    """The live children of a process: their command lines by pid."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if parent == pid and line:
            found[int(path.name)] = line
    return found


def _child(pid: int, words: str, *, but: int = 0, seconds: float = 30) -> int:
    """A child with these words in its command, other than `but`; waits for it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := [child for child, line in _children(pid).items() if words in line and child != but]:
            return found[0]
        threading.Event().wait(0.05)
    raise AssertionError(f"no {words} below {pid}: {_children(pid)}")


def test_a_process_of_its_that_dies_is_started_again_and_no_scheduler_outlives_its_worker():
    with lifted("notifications") as (url, process):
        web, worker = _child(process.pid, "landcontracts.server"), _child(process.pid, "celery")
        scheduler = _child(worker, "celery")
        os.kill(worker, signal.SIGKILL)
        _child(process.pid, "celery", but=worker)
        assert _until(lambda: not Path(f"/proc/{scheduler}").exists()), "it would go on beside the next one"
        for supervisor in (False, True):  # the process that serves, and its supervisor
            serving = _child(web, "landcontracts.server")
            os.kill(web if supervisor else serving, signal.SIGKILL)
            if supervisor:
                _child(process.pid, "landcontracts.server", but=web)
            else:
                _child(web, "landcontracts.server", but=serving)
            assert _until(lambda pid=serving: not Path(f"/proc/{pid}").exists()), "it would answer for the next one"
            assert _until(lambda: _is_ready(url))
        assert process.poll() is None


def _until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    return is_true


def _is_ready(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/readyz", timeout=5, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False

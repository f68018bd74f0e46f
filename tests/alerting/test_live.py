"""Once for real: Prometheus and Alertmanager watch the stack by the committed rules, a service dies, and the alert arrives at a webhook."""

import contextlib
import json
import os
import shutil
import signal
import threading
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from apps.extraction.routing import shares
from landcontracts.embedded.processes import Process, Processes, free_port, inner_url, wait_for_url
from landcontracts.monitoring.renderer import Overrides, render
from tests.alerting.playbook import BASE, rules
from tests.journeys.people import Person
from tests.moves.conftest import until
from tests.seam import sales
from tests.seam.servers import lifted

SERVICE = "documents"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
        reason="Debian's packages prometheus and prometheus-alertmanager are not here",
    ),
]


class Webhook:
    """An alert receiver: keeps the messages as they came."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def received(self, name: str, status: str) -> dict[str, Any] | None:
        for message in self.messages:
            for alert in message["alerts"]:
                if alert["labels"]["alertname"] == name and alert["status"] == status:
                    return alert
        return None


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    receiver = Webhook()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def prometheus(webhook: Webhook, tmp_path: Path) -> Iterator[str]:
    """Prometheus and Alertmanager with the committed rules, on ports of their own, evaluated every second. Prometheus' address."""
    port, alerting = free_port(), free_port()
    addresses = {
        "prometheus": f"127.0.0.1:{port}",
        "web": urlsplit(inner_url(os.environ["WEB_URL"])).netloc,
        f"lifted/{SERVICE}": urlsplit(inner_url(settings.SEAM_AWAY[SERVICE])).netloc,
    }
    render(tmp_path / "etc", Overrides(addresses, f"127.0.0.1:{alerting}", webhook.url, "1s", "1s"))
    processes = Processes(tmp_path)
    try:
        for name, arguments, at in (
            (
                "prometheus-alertmanager",
                [
                    f"--config.file={tmp_path}/etc/alertmanager.yml",
                    f"--storage.path={tmp_path}/am",
                    "--cluster.listen-address=",
                ],
                alerting,
            ),
            (
                "prometheus",
                [f"--config.file={tmp_path}/etc/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"],
                port,
            ),
        ):
            process, log = processes.start(
                name, [name, *arguments, f"--web.listen-address=127.0.0.1:{at}"], cwd=tmp_path
            )
            wait_for_url(f"http://127.0.0.1:{at}/-/ready", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop_all()


@contextlib.contextmanager
def requests(sale: tuple[Person, str]) -> Iterator[None]:
    """For the length of a block, requests for a sale's documents, none of which may fail."""
    seller, contract = sale
    stopped = threading.Event()
    problems: list[BaseException] = []

    def ask() -> None:
        try:
            while not stopped.wait(0.05):
                seller.get(f"documents?contract_id={contract}")
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(20)
        assert problems == []


@contextlib.contextmanager
def routed_remotely() -> Iterator[None]:
    """For the length of a block, all calls of the service go to the lifted-out process."""
    shares.set_share(SERVICE, "remote", Decimal(100))
    yield
    shares.set_share(SERVICE, "remote", Decimal(0))


def query(prometheus: str, what: str) -> Any:
    with urllib.request.urlopen(f"{prometheus}/api/v1/{what}") as answer:
        return json.load(answer)["data"]


def kill(process: Process) -> None:
    """Kill -9 of the service and its processes."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_service_dies_and_the_alert_fires_and_is_resolved_when_it_is_back(sale, prometheus: str, webhook: Webhook):
    with contextlib.ExitStack() as meanwhile:
        with lifted(SERVICE) as (_, process):
            meanwhile.enter_context(routed_remotely())
            meanwhile.enter_context(requests(sale))
            until(lambda: sales.answered_by(*sale) == SERVICE)
            until(lambda: {"web", "lifted"} <= healthy(prometheus))
            assert webhook.received("BreakerOpen", "firing") is None
            kill(process)
            alert = until(lambda: webhook.received("BreakerOpen", "firing"), 60)
        assert alert["labels"] == {
            "alertname": "BreakerOpen",
            "service": SERVICE,
            "side": "away",
            "severity": "critical",
        }
        assert "The circuit breaker towards documents (away) is open" in alert["annotations"]["summary"]
        assert (BASE / alert["annotations"]["runbook_url"]).exists()
        with lifted(SERVICE):
            until(lambda: webhook.received("BreakerOpen", "resolved"), 60)
            until(lambda: sales.answered_by(*sale) == SERVICE)
    loaded = {
        rule["name"]
        for group in query(prometheus, "rules")["groups"]
        for rule in group["rules"]
        if rule["type"] == "alerting"
    }
    assert loaded == {rule["alert"] for rule in rules("alert")}
    broken = [
        rule for group in query(prometheus, "rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"
    ]
    assert broken == []


def healthy(prometheus: str) -> set[str]:
    return {
        target["labels"]["job"] for target in query(prometheus, "targets")["activeTargets"] if target["health"] == "up"
    }

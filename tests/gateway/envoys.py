"""The real Envoy, started with the rendered configuration, and its log."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from landcontracts.embedded import gateway
from landcontracts.embedded.processes import Processes

PLENTY = [f"{kind}=1000000/60" for kind in ("sign-in", "api", "files", "pages", "nowhere")]
# Where a journey runs through the gateway, WEB_URL is the gateway's.
STACK = os.environ.get("WEB_URL", "")
SITE = "https://app.example"
http = urllib3.PoolManager(retries=False, timeout=30)


class Gateway:
    """A running Envoy."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        return send(self.url, method, path, body, **headers)

    def logged(self, request_id: str, seconds: float = 10) -> dict[str, Any]:
        """The log line of a request."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                if request_id in line and line.startswith("{"):
                    return json.loads(line)
            time.sleep(0.05)
        raise AssertionError(f"{request_id} is not in the log: {self._log.read_text()[-2000:]}")

    def route_of(self, path: str, **headers: str) -> str:
        """Which route a path takes."""
        identity = secrets.token_hex(8)
        self.send("OPTIONS", path, **{"X-Request-ID": identity, **headers})
        return self.logged(identity)["route"]


def send(url: str, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
    return http.request(method, f"{url}{path}", body=body, headers=headers, redirect=False)


def problem(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """An answer's problem, checked to have the platform's shape."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.data
    content = json.loads(answer.data)
    assert {"type", "title", "status", "detail", "code", "instance"} <= set(content)
    assert content["status"] == answer.status
    assert content["type"] == f"urn:landcontracts:problem:{content['code']}"
    return content


@contextmanager
def running(upstream: str = "", **options: Any) -> Iterator[Gateway]:
    """An Envoy in front of a server, the stack's own unless another is named."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        processes = Processes(folder)
        try:
            rendering = {"limit": PLENTY, "origin": [SITE], **options}
            url, _ = gateway.start(processes, folder, upstream or STACK, options=rendering)
            yield Gateway(url, folder / "logs" / f"{gateway.NAME}.log")
        finally:
            processes.stop_all()

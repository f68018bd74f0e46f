"""Two small servers between pact's verifier and a provider: one creates provider states, one signs requests.

pact-python's own state handler discards its result, and the seam signs the body after its values are filled in.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from uuid import uuid4

import urllib3
from django.db import connections

from apps.core import topology
from apps.core.seam import signing
from apps.core.seam.client import registry
from tests.pacts.examples import COMMAND_KEY
from tests.pacts.sale import Sale

SECONDS = 30.0
# A consumer that is no service calls from within the monolith.
MONOLITH = "monolith"


class Reply(NamedTuple):
    """What a handler answers."""

    status: int
    body: bytes


Answer = Callable[[str, Mapping[str, str], bytes], Reply]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server on loopback that answers POST, one request after the other; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                reply = answer(self.path, self.headers, body)
            except Exception as error:  # any error is reported by the verification
                reply = Reply(500, json.dumps({"error": repr(error)}).encode())
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Log nothing: pact reports each request."""

    def serve() -> None:
        server.serve_forever(poll_interval=0.02)
        connections.close_all()  # each thread has its own

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=serve, name="pact-server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(SECONDS)


class States:
    """Answers a state's name with the values of a sale in that state, and an unused command key."""

    def __init__(self) -> None:
        self._shared: dict[str, Sale] = {}

    def __call__(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        request = json.loads(body)
        sale = self._sale(request["state"], fresh=request["params"]["fresh"])
        return Reply(200, json.dumps(sale.values | {COMMAND_KEY: str(uuid4())}).encode())

    def _sale(self, state: str, *, fresh: bool) -> Sale:
        if not fresh and state in self._shared:
            return self._shared[state]
        with registry.routed_by(lambda service, _ctx: registry.local(service)):
            sale = Sale.reach(state)
        if not fresh:
            self._shared[state] = sale
        return sale


class Signing:
    """Passes a request on to a provider, signed as its caller's transport signs it."""

    def __init__(self, provider: str, url: str) -> None:
        self._provider, self._url = provider, url
        self._http = urllib3.PoolManager(retries=False, timeout=SECONDS)

    def __call__(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        caller = headers["X-Seam-Caller"]
        at, signature = signing.seal(caller=caller, callee=self._provider, method="POST", path=path, body=body)
        sealed = {"X-Seam-Caller": caller, "X-Seam-Time": at, "X-Seam-Signature": signature}
        answer = self._http.request(
            "POST", f"{self._url}{path}", body=body, headers={**sealed, "Content-Type": "application/json"}
        )
        return Reply(answer.status, answer.data)

    def close(self) -> None:
        """Close the kept connections."""
        self._http.clear()


def caller_of(consumer: str) -> str:
    """The process that a consumer's calls come from when every service is lifted out."""
    return consumer if consumer in topology.entries() else MONOLITH

"""The lower bound of a call: a raw socket echo of a fixed number of bytes, and a bare WSGI application.

Imports nothing of the platform. `python -m benchmarks.echoes PORT REQUEST_BYTES ANSWER_BYTES` is the raw socket.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

ANSWER_BYTES = "BENCH_ANSWER_BYTES"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body, answer the number of bytes that the environment sets (WSGI, PEP 3333)."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"x" * int(os.environ[ANSWER_BYTES])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def answer(port: int, request_bytes: int, answer_bytes: int) -> None:
    """Serve one connection after another, until the process is ended."""
    content = b"x" * answer_bytes
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                received = 0
                while part := connection.recv(65_536):
                    received += len(part)
                    if received >= request_bytes:
                        received -= request_bytes
                        connection.sendall(content)


if __name__ == "__main__":
    answer(*map(int, sys.argv[1:4]))

"""The floor under a call: a raw socket that takes and gives a fixed number of bytes, and a bare WSGI application.

Imports nothing of ours. `python -m benchmarks.echoes PORT REQUEST_BYTES ANSWER_BYTES` is the raw socket.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

ANSWER_BYTES = "BENCH_ANSWER_BYTES"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body, answer as many bytes as the environment says (WSGI, PEP 3333)."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"x" * int(os.environ[ANSWER_BYTES])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def answer(port: int, request_bytes: int, answer_bytes: int) -> None:
    """Serve one connection after the other, until the process is ended."""
    content = b"x" * answer_bytes
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                got = 0
                while part := connection.recv(65_536):
                    got += len(part)
                    if got >= request_bytes:
                        got -= request_bytes
                        connection.sendall(content)


if __name__ == "__main__":
    answer(*map(int, sys.argv[1:4]))

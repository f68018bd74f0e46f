"""A WSGI application without Django for the server's tests: echoes, computes, waits for a file, fails, sends much."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

from landcontracts.server.routes import PROBES, Form, Kind, Route


class Policy:
    """`/without-route` fails, `/heavy…` is expensive, `/file` too and takes files; a person names itself in a header."""

    def route(self, method, path, headers):
        if path in PROBES:
            return PROBES[path]
        if path == "/without-route":
            raise RuntimeError("no route")
        if path.startswith("/heavy"):
            return Route(Kind.HEAVY, form=Form.PROBLEM)
        if path == "/file":
            return Route(Kind.HEAVY, limit=50 * 2**20, form=Form.PROBLEM)
        return Route(limit=2**20, form=Form.FAULT if path.startswith("/seam") else Form.PROBLEM)

    def is_sealed(self, method, path, headers):
        if headers.get("X_SEAL") == "broken":
            raise RuntimeError("no secret")
        return not path.startswith("/seam") or headers.get("X_SEAL") == "good"

    def translated(self, headers, text):
        return text

    def person(self, environ):
        if environ.get("HTTP_X_PERSON") == "broken":
            raise RuntimeError("no answer")
        return environ.get("HTTP_X_PERSON", "")


policy = Policy()
computing: list[int] = []


def compute(seconds):
    """Hold the interpreter for so long; returns how many requests did at the beginning."""
    computing.append(1)
    count, until = len(computing), time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    computing.pop()
    return count


def streamed(count, file):
    """So many parts, one each hundredth of a second; their number is written when it ends."""
    number = 0
    try:
        for number in range(1, count + 1):
            time.sleep(0.01)
            Path(file).with_suffix(f".{number}").touch()
            yield b"x" * 262_144
    finally:
        Path(file).write_text(str(number))


def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path == "/fails":
        raise RuntimeError("it fails")
    if path == "/exits":
        raise SystemExit(3)
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return streamed(int(environ["QUERY_STRING"]), environ["HTTP_X_FILE"])
    if path in {"/big", "/heavy-big"}:
        content = os.urandom(1) * int(environ["QUERY_STRING"])
    elif path == "/compute":
        content = str(compute(int(environ["QUERY_STRING"]) / 1000)).encode()
    elif path == "/pid":
        content = str(os.getpid()).encode()
    elif path == "/orphan":
        content = subprocess.check_output(["sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"])
    else:
        content = f"{environ['REQUEST_METHOD']} {path} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    if folder := environ.get("HTTP_X_WAIT"):  # until the test lets it go on
        (Path(folder) / f"began-{time.monotonic_ns()}").touch()
        while not (Path(folder) / "go").exists():
            time.sleep(0.01)
    headers = [("Content-Type", "text/plain")]
    if path != "/parts":
        headers.append(("Content-Length", str(len(content) + (path == "/short") - (path == "/long"))))
    if path == "/odd-header":
        headers.append(("X-Odd", "шляпа"))
    start_response("204 No Content" if path == "/nothing" else "200 OK", headers)
    return iter([content[:5], b"", content[5:]]) if path == "/parts" else [content]

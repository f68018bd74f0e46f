"""The seam without a query: one call against a raw socket echo, the requests/s of one core against bare WSGI."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from apps.core.flags import routes
from apps.core.interface import context
from apps.core.interface.context import Actor, new_context
from apps.core.seam import signing
from apps.core.seam.client.registry import call
from benchmarks import echoes, lifted, load, measure, quiet, servers
from benchmarks.figures import Figure
from benchmarks.load import Client
from benchmarks.measure import MICRO
from benchmarks.quiet import QUIET
from landcontracts.embedded.processes import free_port

TEXT = "Участок передаётся по акту. " * 8
CALLER = "monolith"
ACTOR = Actor(id=context.NO_PERSON, roles=("seller",))
OPERATION = QUIET.operations["say"]
# Bytes of a call and its answer on the wire around their bodies: request line or status, headers, signature.
REQUEST_HEAD = 258
ANSWER_HEAD = 126
RATE_BATCH = 2_000


def over_echo(folder: Path) -> Figure:
    """A call without a database query against a raw socket echo of as many bytes."""
    port, echo = free_port(), free_port()
    sizes = (len(_body()) + REQUEST_HEAD, len(_answer()) + ANSWER_HEAD)
    raw = [sys.executable, "-m", "benchmarks.echoes", *map(str, (echo, *sizes))]
    with _endpoint(folder, port), servers.started(folder, "echo", raw, echo):
        quiet.register()
        with lifted.to(f"http://127.0.0.1:{port}", quiet.NAME), _echo(echo, *sizes) as exchange:
            peers = measure.calls(_say, exchange, rounds=30, block=100)
    return Figure(
        name="silent_call_over_echo",
        value=peers.ratio(),
        goal=3,
        unit="times the echo's time",
        against="a call without a query by `call(KEY)` over TCP to the real endpoint "
        f"{median(peers.first) * MICRO:.0f} us beside a raw socket echo of {sizes[0]} bytes there and {sizes[1]} back "
        f"{median(peers.second) * MICRO:.0f} us, each from a process of its own, one caller",
    )


def of_one_core(folder: Path) -> Figure:
    """Requests/s of the endpoint on one core against those of a bare WSGI application on the same server and core."""
    ours, bare = free_port(), free_port()
    cores = sorted(os.sched_getaffinity(0))
    command = servers.as_serve_would(bare, "benchmarks.echoes:application")
    size = {echoes.ANSWER_BYTES: str(len(_answer()))}
    with (
        servers.on_core(cores[-1]),
        _endpoint(folder, ours),
        servers.started(folder, "bare", command, bare, **size),
        servers.on_core(cores[0]),
    ):
        us, them = Client(ours, expected=200), Client(bare, expected=200)
        try:
            peers = measure.batches(
                lambda: us.rate([_signed(ours)] * RATE_BATCH),
                lambda: them.rate([_signed(bare)] * RATE_BATCH),
                rounds=14,
            )
        finally:
            us.close()
            them.close()
    return Figure(
        name="endpoint_rate_over_bare_wsgi",
        value=peers.ratio(),
        goal=0.7,
        least=True,
        unit="times the requests/s",
        against=f"the seam's endpoint without a query, {median(peers.first):.0f}/s, beside a WSGI application that "
        f"answers as many bytes and does nothing, {median(peers.second):.0f}/s; the same server command as `serve`, "
        f"each on the same one core, {load.CONNECTIONS} connections from {'another' if len(cores) > 1 else 'the same'}",
    )


@contextmanager
def _endpoint(folder: Path, port: int) -> Iterator[None]:
    """A process with the real endpoint, which holds its pairs' secrets as a lifted-out service does."""
    secrets = json.dumps(signing.pairs_of(quiet.NAME, (CALLER,)))
    command = servers.as_serve_would(port, "benchmarks.quiet_wsgi:application")
    with servers.started(folder, "quiet", command, port, SEAM_PAIR_SECRETS=secrets):
        yield


def _say() -> str:
    route = routes.decide(str(ACTOR.id))  # the flags say local; the decision's cost is included
    ctx = new_context(actor=ACTOR, away=(*route.away, quiet.NAME))
    return call(QUIET).say(ctx=ctx, text=TEXT)


@contextmanager
def _echo(port: int, request_bytes: int, answer_bytes: int) -> Iterator[Callable[[], None]]:
    content = b"x" * request_bytes
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def exchange() -> None:
            connection.sendall(content)
            left = answer_bytes
            while left > 0:
                left -= len(connection.recv(65_536))

        yield exchange


def _body() -> bytes:
    wire = context.to_wire(new_context(actor=ACTOR, away=(quiet.NAME,)), 1_000)
    arguments = OPERATION.encode_arguments({"text": TEXT})
    return b'{"context":%b,"arguments":%b}' % (msgspec.json.encode(wire), arguments)


def _answer() -> bytes:
    return OPERATION.encode_result(TEXT)


def _signed(port: int) -> bytes:
    body = _body()
    at, signature = signing.seal(caller=CALLER, callee=quiet.NAME, method="POST", path=OPERATION.path, body=body)
    digest = signing.digest_of(body)
    headers = {"X-Seam-Caller": CALLER, "X-Seam-Time": at, "X-Seam-Body-SHA256": digest, "X-Seam-Signature": signature}
    return load.request("POST", port, OPERATION.path, headers, body)

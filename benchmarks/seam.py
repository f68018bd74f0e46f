"""The cost of the seam: in-process against a direct call, HTTP against in-process, a textbook call against HTTP."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import requests
from django.db import connection

from apps.contracts.interface import CONTRACTS, Contract
from apps.core.flags import routes, snapshot
from apps.core.interface.context import new_context
from apps.core.seam.client.registry import call
from apps.core.seam.server import dispatch
from benchmarks import lifted, measure
from benchmarks.data import Market, tutorial_token
from benchmarks.figures import Figure
from benchmarks.measure import MICRO
from benchmarks.servers import Servers

COUNTED_CALLS = 50


def in_process(market: Market) -> list[Figure]:
    """The cost that the seam adds to `contracts.get`: microseconds and queries."""
    through, direct = _local(market), _direct(market)
    peers = measure.calls(through, direct, rounds=40, block=80)
    extra = _queries(through) - _queries(direct)
    against = (
        f"contracts.get through the seam (new context, route decision from a flag at 0 %, codec both ways, metrics) "
        f"{_us(peers.first)} beside the implementation's method called directly {_us(peers.second)}"
    )
    return [
        Figure(name="seam_added_us", value=peers.difference() * MICRO, goal=25, unit="us a call", against=against),
        Figure(
            name="seam_extra_queries",
            value=extra,
            goal=0,
            unit="queries a call",
            against=f"the same two, over {COUNTED_CALLS} calls each; the flags' snapshot, one query in a quarter of a second "
            "for any number of calls, is loaded before",
        ),
    ]


def remote(market: Market, servers: Servers) -> list[Figure]:
    """The remote call, over TCP and over a unix socket, against the call in this process."""
    return [
        _remote(market, servers.places.tcp, name="http_over_in_process", goal=1.5, words="TCP on loopback"),
        _remote(market, servers.places.unix, name="unix_over_in_process", goal=1.4, words="a unix socket"),
    ]


def _remote(market: Market, url: str, *, name: str, goal: float, words: str) -> Figure:
    with lifted.to(url, "contracts"):
        peers = measure.calls(_over_http(market), _local(market), rounds=30, block=50)
    return Figure(
        name=name,
        value=peers.ratio(),
        goal=goal,
        unit="times the in-process call's time",
        against=f"contracts.get over {words} from `manage.py serve contracts` {_us(peers.first)} beside the same call "
        f"in-process {_us(peers.second)}, one caller; one query on either side",
    )


def textbook(market: Market, servers: Servers) -> Figure:
    """The textbook's call against the seam over HTTP."""
    session = requests.Session()
    reusing, reconnecting = (
        _textbook(market, servers.textbook, session.get),
        _textbook(market, servers.textbook, requests.get),
    )
    peers = measure.calls(reusing, _over_http(market), rounds=20, block=30)
    bare = measure.calls(reconnecting, _over_http(market), rounds=8, block=20)
    return Figure(
        name="textbook_over_seam",
        value=peers.ratio(),
        goal=4,
        least=True,
        unit="times faster",
        against=f"gunicorn gthread + DRF APIView, ModelSerializer, simplejwt + requests.Session {_us(peers.first)} "
        f"beside the seam over HTTP {_us(peers.second)}, the same row, one caller; the textbook better set "
        f"than it says: kept connections to the server and to the database "
        f"(with requests.get it would be {bare.ratio():.2f})",
    )


def _local(market: Market) -> Callable[[], Contract]:
    def ask() -> Contract:
        route = routes.decide(str(market.seller.id))
        ctx = new_context(actor=market.seller, away=route.away, shadow=route.shadow)
        return call(CONTRACTS).get(ctx=ctx, contract_id=market.contract_id)

    return ask


def _over_http(market: Market) -> Callable[[], Contract]:
    def ask() -> Contract:
        routes.decide(str(market.seller.id))  # the flag says local; the decision's cost is paid on both sides
        ctx = new_context(actor=market.seller, away=("contracts",))
        return call(CONTRACTS).get(ctx=ctx, contract_id=market.contract_id)

    return ask


def _direct(market: Market) -> Callable[[], Contract]:
    get: Callable[..., Contract] = dispatch.local_binding("contracts").implementation.get
    ctx = new_context(actor=market.seller)
    return lambda: get(ctx=ctx, contract_id=market.contract_id)


def _textbook(market: Market, port: int, get: Callable[..., requests.Response]) -> Callable[[], Any]:
    headers = {"Authorization": f"Bearer {tutorial_token(market.seller)}"}
    url = f"http://127.0.0.1:{port}/service/contracts/{market.contract_id}/"

    def ask() -> Any:
        answer = get(url, headers=headers, timeout=5)
        answer.raise_for_status()
        return answer.json()

    return ask


def _queries(function: Callable[[], object]) -> float:
    queries = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    snapshot.forget()
    snapshot.current()
    with connection.execute_wrapper(count):
        for _ in range(COUNTED_CALLS):
            function()
    return queries / COUNTED_CALLS


def _us(seconds: list[float]) -> str:
    return f"{median(seconds) * MICRO:.0f} us"

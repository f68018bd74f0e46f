"""What the seam costs: in-process beside the direct call, over HTTP beside in-process, the textbook way beside HTTP."""

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
    """What the seam adds to `contracts.get`: microseconds and queries."""
    through, direct = _here(market), _direct(market)
    found = measure.calls(through, direct, rounds=40, block=80)
    extra = _queries(through) - _queries(direct)
    against = (
        f"contracts.get through the seam (new context, route decision from a flag at 0 %, codec both ways, metrics) "
        f"{_us(found.first)} beside the implementation's method called directly {_us(found.second)}"
    )
    return [
        Figure(name="seam_added_us", value=found.difference() * MICRO, goal=25, unit="us a call", against=against),
        Figure(
            name="seam_extra_queries",
            value=extra,
            goal=0,
            unit="queries a call",
            against=f"the same two, over {COUNTED_CALLS} calls each; the flags' snapshot, one query in a quarter of a second "
            "whatever the number of calls, is loaded before",
        ),
    ]


def remote(market: Market, servers: Servers) -> list[Figure]:
    """The call answered by another process, over TCP and over a unix socket, beside the call in this process."""
    return [
        _remote(market, servers.places.tcp, name="http_over_in_process", goal=1.5, words="TCP on loopback"),
        _remote(market, servers.places.unix, name="unix_over_in_process", goal=1.4, words="a unix socket"),
    ]


def _remote(market: Market, url: str, *, name: str, goal: float, words: str) -> Figure:
    with lifted.to(url, "contracts"):
        found = measure.calls(_away(market), _here(market), rounds=30, block=50)
    return Figure(
        name=name,
        value=found.ratio(),
        goal=goal,
        unit="times the in-process call's time",
        against=f"contracts.get over {words} from `manage.py serve contracts` {_us(found.first)} beside the same call "
        f"in-process {_us(found.second)}, one caller; one query on either side",
    )


def textbook(market: Market, servers: Servers) -> Figure:
    """The textbook's call beside ours over HTTP."""
    session = requests.Session()
    kept, opened = _textbook(market, servers.textbook, session.get), _textbook(market, servers.textbook, requests.get)
    found = measure.calls(kept, _away(market), rounds=20, block=30)
    bare = measure.calls(opened, _away(market), rounds=8, block=20)
    return Figure(
        name="textbook_over_seam",
        value=found.ratio(),
        goal=4,
        least=True,
        unit="times faster",
        against=f"gunicorn gthread + DRF APIView, ModelSerializer, simplejwt + requests.Session {_us(found.first)} "
        f"beside the seam over HTTP {_us(found.second)}, the same row, one caller; the textbook better set "
        f"than it says: kept connections to the server and to the database "
        f"(with requests.get it would be {bare.ratio():.2f})",
    )


def _here(market: Market) -> Callable[[], Contract]:
    def ask() -> Contract:
        route = routes.decide(str(market.seller.id))
        ctx = new_context(actor=market.seller, away=route.away, shadow=route.shadow)
        return call(CONTRACTS).get(ctx=ctx, contract_id=market.contract_id)

    return ask


def _away(market: Market) -> Callable[[], Contract]:
    def ask() -> Contract:
        routes.decide(str(market.seller.id))  # the flag says home; the decision's cost is paid on both sides
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
    seen = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        return execute(*arguments)

    snapshot.forget()
    snapshot.current()
    with connection.execute_wrapper(count):
        for _ in range(COUNTED_CALLS):
            function()
    return seen / COUNTED_CALLS


def _us(seconds: list[float]) -> str:
    return f"{median(seconds) * MICRO:.0f} us"

"""The REST API against the tutorial's, on the same table and kind of server: a list of 50, and a new contract."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from benchmarks import load, measure
from benchmarks.data import PRICE, TERMS, Market, our_token, tutorial_token
from benchmarks.figures import Figure
from benchmarks.load import Client, LoadFailed
from benchmarks.servers import THREADS, Servers

PAGE = 50
LIST_BATCH = 80
CREATE_BATCH = 120
SERVER = f"landcontracts.server, 1 worker, {THREADS} threads, {load.CONNECTIONS} connections"


def listing(market: Market, servers: Servers) -> Figure:
    """GET of 50 contracts."""
    ours = load.request("GET", servers.ours, f"/api/v1/contracts?limit={PAGE}", _bearer(our_token(market.seller)))
    theirs = load.request("GET", servers.tutorial, "/contracts/", _bearer(tutorial_token(market.seller)))
    with _clients(servers, expected=200) as (us, them):
        peers = measure.batches(
            lambda: us.rate([ours] * LIST_BATCH), lambda: them.rate([theirs] * LIST_BATCH), rounds=14
        )
        _require_pages(us, them)
    return Figure(
        name="list_rate_over_tutorial",
        value=peers.ratio(),
        goal=4,
        least=True,
        unit="times the requests/s",
        against=f"GET /api/v1/contracts?limit=50 of a party, {median(peers.first):.0f}/s, beside a DRF ModelViewSet "
        f"with PageNumberPagination of 50 and simplejwt, {median(peers.second):.0f}/s; {SERVER}; "
        "the tutorial with CONN_MAX_AGE=None, its better setting",
    )


def creation(market: Market, servers: Servers) -> Figure:
    """POST of a contract."""
    with _clients(servers, expected=201) as (us, them):
        peers = measure.batches(
            lambda: us.rate(_our_posts(market, servers.ours)),
            lambda: them.rate(_their_posts(market, servers.tutorial)),
            rounds=14,
        )
    return Figure(
        name="create_rate_over_tutorial",
        value=peers.ratio(),
        goal=1,
        least=True,
        unit="times the requests/s",
        against=f"POST /api/v1/contracts with command key, history, parties and outbox, {median(peers.first):.0f}/s, "
        f"beside a DRF ModelViewSet's bare insert with its validations, {median(peers.second):.0f}/s; {SERVER}; "
        "the tutorial with CONN_MAX_AGE=None, its better setting",
    )


@contextmanager
def _clients(servers: Servers, *, expected: int) -> Iterator[tuple[Client, Client]]:
    ours, theirs = Client(servers.ours, expected=expected), Client(servers.tutorial, expected=expected)
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def _require_pages(ours: Client, theirs: Client) -> None:
    """Check that both lists have the same contracts. Raises: LoadFailed."""
    ids = [row["id"] for row in json.loads(ours.last_body)["items"]]
    if len(ids) != PAGE or ids != [row["id"] for row in json.loads(theirs.last_body)["results"]]:
        raise LoadFailed("the two lists differ")


def _our_posts(market: Market, port: int) -> Sequence[bytes]:
    body = _body(buyer_id=market.buyer_id, land_plot_id=market.plot.id, price=PRICE, terms=TERMS)
    bearer = _bearer(our_token(market.seller))
    return [
        load.request("POST", port, "/api/v1/contracts", {**bearer, "Idempotency-Key": secrets.token_hex(16)}, body)
        for _ in range(CREATE_BATCH)
    ]


def _their_posts(market: Market, port: int) -> Sequence[bytes]:
    bearer = _bearer(tutorial_token(market.seller))
    return [load.request("POST", port, "/contracts/", bearer, _their_body(market)) for _ in range(CREATE_BATCH)]


def _their_body(market: Market) -> bytes:
    return _body(
        number=f"T-{secrets.token_hex(10)}",  # the tutorial has no numbering of its own
        seller_id=market.seller.id,
        buyer_id=market.buyer_id,
        land_plot=market.plot.id,
        cadastral_number=market.plot.cadastral_number,
        price=PRICE,
        terms=TERMS,
    )


def _body(**fields: object) -> bytes:
    return json.dumps({name: str(value) for name, value in fields.items()}).encode()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}

"""One person's list of a million contracts: its last page compared with its first."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from statistics import median
from uuid import UUID

import psycopg

from apps.contracts.interface import CONTRACTS, ContractPage
from apps.contracts.logic import keyset
from apps.core.interface.context import new_context
from apps.core.seam.client.registry import call
from benchmarks import measure
from benchmarks.data import Market, actor_of, make_person, owner_url
from benchmarks.figures import Figure
from benchmarks.measure import MICRO

ROWS = 1_000_000
PAGE = 50
# The server makes the rows itself: ids grow with the time, as UUIDv7 does, and the times are a second apart. Only the
# person's own part is written; the buyer's would be on another person's list.
CONTRACTS_SQL = """
INSERT INTO contracts_contract (id, number, status, seller_id, buyer_id, land_plot_id, cadastral_number, price,
    currency, terms, signed_by_seller, signed_by_buyer, created_at, updated_at)
SELECT (lpad(to_hex(n), 12, '0') || '70008000' || %(salt)s)::uuid, 'B-' || lpad(n::text, 8, '0'), 'draft', %(person)s,
    %(buyer)s, %(plot)s, %(cadastral)s, 1000 + n, 'RUB', '', false, false, at, at
FROM generate_series(1, %(rows)s) AS n,
    LATERAL (SELECT timestamptz '2000-01-01 00:00Z' + make_interval(secs => n)) AS moment (at)
"""
PARTIES_SQL = """
INSERT INTO contracts_party (id, contract_id, user_id, role, created_at)
SELECT id, id, seller_id, 'seller', created_at FROM contracts_contract WHERE seller_id = %(person)s
"""
LAST_SQL = """
SELECT created_at, contract_id FROM contracts_party WHERE user_id = %(person)s
ORDER BY created_at, contract_id OFFSET %(page)s LIMIT 1
"""


def last_over_first(market: Market) -> Figure:
    """The time of the last page over that of the first, through the service."""
    person = actor_of(make_person("owner"))
    cursor = _load(market, person.id)

    def page(after: str | None) -> Callable[[], ContractPage]:
        return lambda: call(CONTRACTS).list(ctx=new_context(actor=person), limit=PAGE, cursor=after)

    end = page(cursor)()
    if len(end.items) != PAGE or end.next_cursor is not None:
        raise AssertionError("the cursor does not lead to the last page")
    peers = measure.calls(page(cursor), page(None), rounds=20, block=25)
    first, last = (median(side) * MICRO for side in (peers.second, peers.first))
    return Figure(
        name="last_page_over_first",
        value=peers.ratio(),
        goal=1.2,
        unit="times the first page's time",
        against=f"contracts.list of one person with {ROWS:,} contracts, {PAGE} a page: last {last:.0f} us, "
        f"first {first:.0f} us",
    )


def _load(market: Market, person: UUID | None) -> str:
    """Fill the tables; returns the cursor before the last page."""
    parameters = {
        "person": person,
        "buyer": market.buyer_id,
        "plot": market.plot.id,
        "cadastral": market.plot.cadastral_number,
        "rows": ROWS,
        "page": PAGE,
        "salt": secrets.token_hex(6),
    }
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute(CONTRACTS_SQL, parameters)
        owner.execute(PARTIES_SQL, parameters)
        owner.execute("ANALYZE contracts_contract, contracts_party")
        row = owner.execute(LAST_SQL, parameters).fetchone()
    if row is None:
        raise AssertionError("the rows were not loaded")
    return keyset.encode(*row)

"""The time that shadowing adds to a caller whose queries are also asked of the other side by the same process."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from statistics import mean, median, stdev

from apps.contracts.interface import CONTRACTS
from apps.core.flags import routes, snapshot
from apps.core.interface.context import new_context
from apps.core.observability import seam_metrics
from apps.core.seam.client import shadow
from apps.core.seam.client.registry import call
from apps.extraction.routing import shares
from benchmarks import measure
from benchmarks.data import Market
from benchmarks.figures import Figure
from benchmarks.measure import MICRO

LOAD = 0.3
BATCH_SECONDS = 1.0
ROUNDS = 12
# Student's t for 95 %, 11 degrees of freedom.
T_95 = 2.201
DRAIN_SECONDS = 10


def added(market: Market) -> Figure:
    """The mean time that 100 % shadowing adds to a query, with its confidence interval over the rounds."""
    interval = _one_call(market) / LOAD
    chance = random.Random(1)
    before = _counts()
    peers = measure.batches(
        lambda: _at_share(market, 100, interval, chance), lambda: _at_share(market, 0, interval, chance), rounds=ROUNDS
    )
    dropped, compared, lost = (now - then for now, then in zip(_counts(), before, strict=True))
    differences = [(shadowed - plain) * MICRO for shadowed, plain in zip(peers.first, peers.second, strict=True)]
    half = T_95 * stdev(differences) / ROUNDS**0.5
    return Figure(
        name="shadow_added_us",
        value=mean(differences),
        goal=50,
        unit="us a call",
        against=f"95 % confidence {mean(differences) - half:.0f} to {mean(differences) + half:.0f} us over {ROUNDS} "
        f"rounds (median {median(differences):.0f}); mean time of contracts.get in-process from the moment it is due, "
        f"one caller, arrivals at random, {1 / interval:.0f}/s, which keep it {LOAD:.0%} busy: all shadowed "
        f"{mean(peers.first) * MICRO:.0f} us, none {mean(peers.second) * MICRO:.0f} us; {compared:.0f} compared, "
        f"{dropped:.0f} dropped because the queue was full, {lost:.0f} not kept",
    )


def _at_share(market: Market, percent: int, interval: float, chance: random.Random) -> float:
    """Mean seconds from the moment that a call is due to its answer; no shadow call is left over for the next batch.

    A caller that falls behind asks again at once and skips missed calls, or its own queue would be measured.
    """
    shares.set_share("contracts", "shadow", Decimal(percent))
    snapshot.forget()
    try:
        spent: list[float] = []
        due = time.perf_counter()
        end = due + BATCH_SECONDS
        while due < end:
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            _ask(market)
            answered = time.perf_counter()
            spent.append(answered - due)
            due = max(due + chance.expovariate(1 / interval), answered)
        return mean(spent)
    finally:
        shares.set_share("contracts", "shadow", Decimal(0))
        _drain()


def _ask(market: Market) -> None:
    route = routes.decide(str(market.seller.id))
    ctx = new_context(actor=market.seller, away=route.away, shadow=route.shadow)
    call(CONTRACTS).get(ctx=ctx, contract_id=market.contract_id)


def _one_call(market: Market) -> float:
    """Seconds of a call when nothing else is done."""
    return median(measure.calls(lambda: _ask(market), lambda: None, rounds=4, block=100).first)


def _drain() -> None:
    """Wait until all queued shadow calls are done: the number of comparisons no longer changes."""
    deadline = time.monotonic() + DRAIN_SECONDS
    before, now = -1.0, _counts()[1]
    while before != now and time.monotonic() < deadline:
        time.sleep(shadow.COLLECT_SECONDS * 2)
        before, now = now, _counts()[1]


def _counts() -> tuple[float, float, float]:
    """The numbers of dropped, compared and lost shadow calls in this process."""
    dropped, compared, lost = (
        sum(sample.value for family in counter.collect() for sample in family.samples if sample.name.endswith("_total"))
        for counter in (seam_metrics.shadow_dropped, seam_metrics.shadow_compared, seam_metrics.shadow_lost)
    )
    return dropped, compared, lost

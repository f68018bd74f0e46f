"""The cost of a flag's decision, compared with waffle's own check of such a flag."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection

from apps.core.flags import routes, snapshot
from apps.extraction.routing import shares
from benchmarks import measure
from benchmarks.figures import Figure
from benchmarks.measure import MICRO
from benchmarks.servers import BASE

PEOPLE = 2_000
PERCENT = 5
ROUNDS = 40
NAME = "contracts_remote"


def decision() -> list[Figure]:
    """Microseconds and queries of the decision of one flag for one of many people."""
    people = [str(uuid4()) for _ in range(PEOPLE)]
    shares.set_share("contracts", "remote", Decimal(PERCENT))
    try:
        with _waffle() as ask_waffle, _counted() as queries:
            peers = measure.batches(lambda: _one_flag(people), lambda: ask_waffle()[0], rounds=ROUNDS)
            waffle_queries = ask_waffle()[1]
            first, again = zip(*(_routes(people) for _ in range(ROUNDS)), strict=True)
    finally:
        shares.set_share("contracts", "remote", Decimal(0))
        snapshot.forget()
    flag_count = 2 * len(settings.SEAM_AWAY)
    against = (
        f"one flag at {PERCENT} % for one of {PEOPLE:,} people in turn, loaded snapshot, {_us(peers.first)}, beside "
        f"stock waffle's flag_is_active with LocMem, warm, the share kept by its cookie, {_us(peers.second)} "
        f"({waffle_queries} queries), {median(peers.second) / median(peers.first):.0f} times as long; a request's whole "
        f"route ({flag_count} flags) is decided in {_us(first)} when a person comes for the first time since the snapshot "
        f"was loaded (a quarter of a second), {_us(again)} after that"
    )
    return [
        Figure(
            name="flag_decision_us", value=median(peers.first) * MICRO, goal=1, unit="us a decision", against=against
        ),
        Figure(
            name="flag_decision_queries",
            value=queries[0] / (ROUNDS * PEOPLE),
            goal=0,
            unit="queries a decision",
            against="the same decisions, routes too; the snapshot, one query in a quarter of a second for any number of "
            "decisions, is loaded before",
        ),
    ]


def _one_flag(people: list[str]) -> float:
    """Seconds per decision."""
    _load()
    started = time.perf_counter()
    for person in people:
        snapshot.is_on(NAME, person)
    return (time.perf_counter() - started) / len(people)


def _routes(people: list[str]) -> tuple[float, float]:
    """Seconds per route, for people who come for the first time and for the same people again."""
    _load()
    moments = [time.perf_counter()]
    for _ in range(2):
        for person in people:
            routes.decide(person)
        moments.append(time.perf_counter())
    first, again = (later - earlier for earlier, later in pairwise(moments))
    return first / len(people), again / len(people)


def _load() -> None:
    """Load a new snapshot, so that none is due while the clock runs."""
    with _uncounted():
        snapshot.forget()
        snapshot.current()


_counting = [True]


@contextmanager
def _uncounted() -> Iterator[None]:
    _counting[0] = False
    try:
        yield
    finally:
        _counting[0] = True


@contextmanager
def _counted() -> Iterator[list[int]]:
    queries = [0]

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        queries[0] += _counting[0]
        return execute(*arguments)

    with connection.execute_wrapper(count):
        yield queries


@contextmanager
def _waffle() -> Iterator[Callable[[], tuple[float, int]]]:
    """Yields a function that runs one batch in the peer's process: seconds a check, and queries so far."""
    command = [sys.executable, "-m", "benchmarks.tutorial.flags", str(PEOPLE), str(PERCENT)]
    with subprocess.Popen(command, cwd=BASE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        to_peer, from_peer = peer.stdin, peer.stdout
        assert to_peer is not None
        assert from_peer is not None

        def ask() -> tuple[float, int]:
            to_peer.write("\n")
            to_peer.flush()
            seconds, queries = from_peer.readline().split()
            return float(seconds), int(queries)

        yield ask
        to_peer.close()


def _us(seconds: list[float] | tuple[float, ...]) -> str:
    return f"{median(seconds) * MICRO:.2f} us"

"""A client that writes at a steady rate from a process of its own, like people during a relocation.

`python -m benchmarks.writes HOW RATE` prints "ready", writes until its standard input is closed, and prints the
results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

import django
import psycopg

THREADS = 4
ADDRESS = "Московская область, Одинцовский городской округ, деревня Лесная, улица Садовая, участок 7"
INSERT = """
INSERT INTO contracts_landplot (id, cadastral_number, address, area_m2, category, owner_id)
VALUES (%s, %s, %s, 1200.50, 'settlement', %s)
"""
RETRY_SECONDS = 0.001
Write = Callable[[str], object]


class Results(NamedTuple):
    """The plots' owner, acknowledged numbers, failures by type, writes/s, longest gap, median time of a write."""

    owner: str
    numbers: list[str]
    failures: dict[str, int]
    rate: float
    gap_ms: float
    call_ms: float


class Client:
    """A process that writes; `results` is set when it has ended."""

    results: Results


class ClientFailed(Exception):
    """The client did not start, or ended with an error."""


@contextmanager
def client(how: str, rate: int) -> Iterator[Client]:
    """For the time of a block, a client that writes `rate` plots a second, by `seam` or `sql`. Raises: ClientFailed."""
    command = [sys.executable, "-m", "benchmarks.writes", how, str(rate)]
    running = Client()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdin is None or process.stdout.readline() != "ready\n":
            raise ClientFailed("it did not begin")
        try:
            yield running
        finally:
            process.stdin.close()
            output = process.stdout.read()
    if process.returncode:
        raise ClientFailed(f"it ended with {process.returncode}")
    running.results = Results(**json.loads(output.splitlines()[-1]))


def main() -> int:
    """Write until the standard input is closed, then print the results."""
    django.setup()
    from apps.core.ids import new_id

    how, rate = {"seam": _by_seam, "sql": _by_sql}[sys.argv[1]], int(sys.argv[2])
    owner = new_id()
    stopped = threading.Event()
    writers = [_Writer(how(owner), number, THREADS / rate, stopped) for number in range(THREADS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.is_warm.wait()
    print("ready", flush=True)
    started = time.monotonic()
    sys.stdin.read()
    stopped.set()
    for writer in writers:
        writer.join()
    seconds = time.monotonic() - started
    moments = sorted(moment for writer in writers for moment in writer.moments if moment > started)
    results = Results(
        owner=str(owner),
        numbers=[number for writer in writers for number in writer.acknowledged],
        failures=dict(sum((writer.failures for writer in writers), Counter())),
        rate=len(moments) / seconds,
        gap_ms=max(later - earlier for earlier, later in pairwise(moments)) * 1000,
        call_ms=median(took for writer in writers for took in writer.write_seconds) * 1000,
    )
    print(json.dumps(results._asdict()))
    return 0


class _Writer(threading.Thread):
    """A thread of the client, at its share of the rate. When late, it writes at once until it has caught up."""

    def __init__(self, write: Write, number: int, interval: float, stopped: threading.Event) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self._write, self._number, self._interval, self._stopped = write, number, interval, stopped
        self._written = 0
        # Set after the first write: connections are open and caches are filled.
        self.is_warm = threading.Event()
        self.acknowledged: list[str] = []
        self.moments: list[float] = []
        self.write_seconds: list[float] = []
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        self._once()
        self.is_warm.set()
        due = time.monotonic() + self._interval * self._number / THREADS
        while not self._stopped.is_set():
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            self._once()
            due += self._interval

    def _once(self) -> None:
        self._written += 1
        number = f"50:20:{self._number:07}:{self._written}"
        began = time.monotonic()
        try:
            self._write(number)
        except Exception as error:  # noqa: BLE001 - counted and reported; a client does not end for one answer
            self.failures[type(error).__name__] += 1
            return
        self.acknowledged.append(number)
        self.moments.append(time.monotonic())
        self.write_seconds.append(self.moments[-1] - began)


def _by_seam(owner: UUID) -> Write:
    """The service's own command."""
    from apps.contracts.interface import CONTRACTS
    from apps.core.interface.context import Actor, new_context
    from apps.core.seam.client.registry import call

    actor = Actor(id=owner, roles=("user",))
    return lambda number: call(CONTRACTS).record_plot(
        ctx=new_context(actor=actor), cadastral_number=number, address=ADDRESS, area_m2=Decimal("1200.50")
    )


def _by_sql(owner: UUID) -> Write:
    """One statement, which follows the grants as the seam does: if one database refuses it, it is sent to the other."""
    from apps.core.ids import new_id

    urls = [os.environ["DATABASE_URL"], json.loads(os.environ["SERVICE_DATABASE_URLS"])["contracts"]]
    databases: list[psycopg.Connection[Any]] = [
        psycopg.connect(url, autocommit=True, prepare_threshold=0) for url in urls
    ]

    def write(number: str) -> None:
        while True:
            try:
                databases[0].execute(INSERT, [new_id(), number, ADDRESS, owner])
            except psycopg.errors.InsufficientPrivilege:
                databases.reverse()
                time.sleep(RETRY_SECONDS)
            else:
                return

    return write


if __name__ == "__main__":
    sys.exit(main())

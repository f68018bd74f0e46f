"""Run every benchmark, write `build/bench.json`, print the table. A goal that is missed is data, not a failure."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import django

from benchmarks import figures, servers
from benchmarks.figures import Figure

OUTPUT = servers.BASE / "build" / "bench.json"
FOLDER = servers.BASE / "var" / "bench" / "servers"
ROUTED_FLAG = "contracts_remote"


def main() -> int:
    """The exit status: 0 when everything ran."""
    with servers.running(FOLDER) as running:
        # The route decision is on: an address is known, and a flag has to be asked.
        os.environ["SEAM_AWAY"] = json.dumps({"contracts": running.seam_url})
        os.environ["DJANGO_SETTINGS_MODULE"] = "landcontracts.settings"
        django.setup()
        found = _measured(running)
    figures.write(found, OUTPUT)
    print(f"\n{figures.table(found)}\n\nWritten to {OUTPUT.relative_to(servers.BASE)}")
    return 0


def _measured(running: servers.Servers) -> list[Figure]:
    from apps.core.models import Flag
    from benchmarks import data, pages, rest, seam  # the project has to be set up first

    data.require_empty()
    with _step("Data"):
        Flag.objects.create(name=ROUTED_FLAG, everyone=None, percent=0)
        market = data.make_market()
    # The million rows come last, so that they disturb nothing else.
    steps: list[tuple[str, Callable[[], list[Figure]]]] = [
        ("Seam in-process", lambda: seam.in_process(market)),
        ("Seam over HTTP", lambda: [seam.over_http(market)]),
        ("Textbook call", lambda: [seam.textbook(market, running)]),
        ("REST list", lambda: [rest.listing(market, running)]),
        ("REST create", lambda: [rest.creation(market, running)]),
        ("A million contracts", lambda: [pages.last_over_first(market)]),
    ]
    found: list[Figure] = []
    for words, run in steps:
        with _step(words):
            found += run()
    return found


@contextmanager
def _step(words: str) -> Iterator[None]:
    print(f"  {words} … ", end="", flush=True)
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())

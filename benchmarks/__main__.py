"""Runs every benchmark, writes `build/bench.json`, prints the table. A missed goal is data, not a failure.

`python -m benchmarks flags shadow` runs some of them and writes nothing.
"""

from __future__ import annotations

import argparse
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
STEPS = {
    "in-process": "Seam in-process",
    "flags": "Flag decisions",
    "remote": "Seam over HTTP",
    "silent": "Calls without a query",
    "rate": "Requests of one core",
    "shadow": "Shadowing",
    "textbook": "Textbook call",
    "list": "REST list",
    "create": "REST create",
    "million": "A million contracts",
    "moving": "Moving a service's data",
}


def main() -> int:
    """The exit status: 0 when everything ran."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(STEPS))
    names: list[str] = parser.parse_args().names
    if unknown := set(names) - set(STEPS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    with servers.chosen_places() as places:
        # The route decision is on: addresses are set, so flags have to be read.
        os.environ["SEAM_AWAY"] = servers.remote_addresses(places)
        os.environ["DJANGO_SETTINGS_MODULE"] = "landcontracts.settings"
        django.setup()
        with servers.running(FOLDER, places) as running:
            measured = _measured(running, names or list(STEPS))
    print(f"\n{figures.table(measured)}")
    if not names:
        figures.write(measured, OUTPUT)
        print(f"\nWritten to {OUTPUT.relative_to(servers.BASE)}")
    return 0


def _measured(running: servers.Servers, names: list[str]) -> list[Figure]:
    from benchmarks import (  # the project has to be set up first
        data,
        flags,
        pages,
        relocation,
        rest,
        seam,
        shadow,
        silent,
    )

    data.require_empty()
    with _step("Data"):
        market = data.make_market()
    # The million rows come late, so that they disturb nothing else; the last step empties the tables for rows of its
    # own.
    steps: dict[str, Callable[[], list[Figure]]] = {
        "in-process": lambda: seam.in_process(market),
        "flags": flags.decision,
        "remote": lambda: seam.remote(market, running),
        "silent": lambda: [silent.over_echo(FOLDER)],
        "rate": lambda: [silent.of_one_core(FOLDER)],
        "shadow": lambda: [shadow.added(market)],
        "textbook": lambda: [seam.textbook(market, running)],
        "list": lambda: [rest.listing(market, running)],
        "create": lambda: [rest.creation(market, running)],
        "million": lambda: [pages.last_over_first(market)],
        "moving": relocation.measured,
    }
    measured: list[Figure] = []
    for name, words in STEPS.items():
        if name in names:
            with _step(words):
                measured += steps[name]()
    return measured


@contextmanager
def _step(words: str) -> Iterator[None]:
    print(f"  {words} … ", end="", flush=True)
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())

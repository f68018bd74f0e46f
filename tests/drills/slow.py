"""`python -m tests.drills.slow [--light]`: slow strangers, large verifications and overload, while others are measured.

Writes `build/drill-slow.json`: for each kind of slow client the times of everyone else before and meanwhile, and for an
overload the answers a second beside the capacity.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import django

from landcontracts.embedded import gateway
from landcontracts.embedded.stack import BASE, Stack

OUTPUT = BASE / "build" / "drill-slow.json"
LIGHT_OUTPUT = BASE / "build" / "drill-slow-light.json"
FLOOR_MS = 20.0
MOST_TIMES = 2.0
HEALTH_MS = 500.0
LEAST_RATIO = 0.9
ROUNDS = 3


class Scale(NamedTuple):
    """How much, and for how long (seconds)."""

    connections: int = 200
    window: float = 20.0
    before: float = 5.0
    verifications: int = 16
    megabytes: int = 48
    overload: float = 15.0


LIGHT = Scale(connections=60, window=2.0, before=2.0, verifications=8, megabytes=8, overload=4.0)


def main(arguments: list[str]) -> int:
    """The exit status: 0 when every goal is reached."""
    light = "--light" in arguments
    scale, output = (LIGHT, LIGHT_OUTPUT) if light else (Scale(), OUTPUT)
    with Stack("drill-slow-light" if light else "drill-slow", fresh=True, durable=False) as stack:
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        os.environ.update(stack.env)
        django.setup()
        from tests.drills.slow_cases import Cases

        with stack.step("Web server, worker and gateway"):
            url = stack.start_web()
            stack.start_worker()
            behind, _ = gateway.start(stack.processes, stack.folder, url)
        with stack.step("People and files"):
            cases = Cases(url, behind, megabytes=scale.megabytes)
        kinds = {}
        for name, heads in cases.trickles():
            with stack.step(f"{scale.connections} connections: {name}"):
                entrance = behind if name.endswith("_gateway") else url
                kinds[name] = _trickled(url, entrance, heads, cases.list_request, scale)
        with stack.step(f"{scale.verifications} verifications of {scale.megabytes} MB"):
            kinds["verifications"] = _verified(url, cases, scale)
        with stack.step("Overload"):
            overload = _overloaded(url, cases.list_request, scale)
    report = {"kinds": kinds, "overload": overload}
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(report, indent=1))
    problems = list(wrong(report))
    print("\n".join(f"  NOT reached: {problem}" for problem in problems) or "  Every goal is reached", flush=True)
    print(f"  See {output.relative_to(BASE)}")
    return 1 if problems else 0


def wrong(report: dict[str, Any]) -> Iterator[str]:
    """The goals that were not reached."""
    for name, kind in report["kinds"].items():
        if not kind["health_ok"]:
            yield f"{name}: health took more than {HEALTH_MS:.0f} ms, or failed"
        if name != "verifications":
            most = MOST_TIMES * max(kind["p99_before_ms"], FLOOR_MS)
            if kind["p99_during_ms"] > most:
                yield f"{name}: p99 {kind['p99_during_ms']} ms, more than {most:.0f} ms"
    overload = report["overload"]
    if overload["ratio"] < LEAST_RATIO:
        yield f"overload: {overload['ratio']} of the peak"
    if not overload["shed"]:
        yield "overload: nothing was shed, so it was none"


def _trickled(url: str, entrance: str, heads: list[str], ask: str, scale: Scale) -> dict[str, Any]:
    """Measure everyone else before and during slow requests; p99 is the median of three windows.

    The others ask the platform itself: the gateway's limits by client would count them with the slow ones.
    """
    before = [_measured(url, ask, scale.before / 3) for _ in range(3)]
    with _load("trickle", entrance, connections=scale.connections, heads=heads):
        time.sleep(1.0)  # for all connections to be there
        during = [_measured(url, ask, scale.window) for _ in range(3)]
    return {
        "connections": scale.connections,
        "seconds": round(3 * scale.window, 1),
        "p99_before_ms": median(window["p99_ms"] for window in before),
        "p99_during_ms": median(window["p99_ms"] for window in during),
        "health_ok": all(window["failed"] == 0 and window["health_max_ms"] <= HEALTH_MS for window in during),
        "health_max_ms": max(window["health_max_ms"] for window in during),
        "failed": sum(window["failed"] for window in during),
    }


def _verified(url: str, cases: Any, scale: Scale) -> dict[str, Any]:
    """Measure everyone else while many large files are verified at a time."""
    before = _measured(url, cases.list_request, scale.before)
    with _load("verify", url, requests=cases.verify_requests(scale.verifications)) as verifying:
        during = _measured(url, cases.list_request, max(scale.window / 2, 3.0))
        verifying.terminate()
        statuses = json.loads(verifying.communicate(timeout=120)[0])
    return {
        "connections": scale.verifications,
        "seconds": during["seconds"],
        "p99_before_ms": before["p99_ms"],
        "p99_during_ms": during["p99_ms"],
        "health_ok": during["failed"] == 0 and during["health_max_ms"] <= HEALTH_MS,
        "health_max_ms": during["health_max_ms"],
        "failed": during["failed"] + sum(count for status, count in statuses.items() if status not in {"200", "429"}),
        "statuses": statuses,
    }


def _overloaded(url: str, ask: str, scale: Scale) -> dict[str, Any]:
    """The capacity by a growing number of clients; then five times as many requests a second as that.

    Three rounds of all of it, of which the medians count: a machine is not equally fast for a minute.
    """
    seconds = scale.overload / 3
    rates: dict[int, list[float]] = {4: [], 8: [], 16: []}
    floods = []
    for _ in range(ROUNDS):
        for clients, measured in rates.items():
            measured.append(_said(_start("closed", url, ask=ask, clients=clients, seconds=seconds))["goodput"])
        asked = 5 * max(measured[-1] for measured in rates.values())
        assert asked, "nothing was answered 200"
        flood = _start("open", url, ask=ask, rate=asked, connections=400, seconds=2 * seconds)
        floods.append(_said(flood))
    capacity = max(map(median, rates.values()))
    goodput = median(flood["goodput"] for flood in floods)
    return {
        "capacity_rps": round(capacity, 1),
        "peak_goodput": round(max(capacity, goodput), 1),
        "goodput_5x": round(goodput, 1),
        "ratio": round(goodput / max(capacity, goodput), 3),
        "p99_admitted_ms": median(flood["p99_ms"] for flood in floods),
        "shed": sum(flood["shed"] for flood in floods),
        "sent": sum(flood["sent"] for flood in floods),
    }


def _measured(url: str, ask: str, seconds: float) -> dict[str, Any]:
    return _said(_start("measure", url, ask=ask, seconds=seconds))


def _start(mode: str, url: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process of clients, with its options in a file: they hold tokens."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump({"mode": mode, "url": url, **options}, file)
    command = [sys.executable, "-m", "tests.drills.slow_clients", file.name]
    return subprocess.Popen(command, cwd=BASE, stdout=subprocess.PIPE)


def _said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=300)
    said: dict[str, Any] = json.loads(output)
    return said


@contextmanager
def _load(mode: str, url: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A load for the time of a block."""
    process = _start(mode, url, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

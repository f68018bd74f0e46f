"""Simulates all scenarios, writes `build/sim-judge.json`, prints the table. A missed goal is data, not a failure.

`python -m benchmarks.judge --only latency` simulates the scenarios whose name contains the word, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.judge import report, rollouts
from benchmarks.judge.rollouts import Decisions
from benchmarks.judge.scenarios import Scenario, scenarios

OUTPUT = Path(__file__).resolve().parent.parent.parent / "build" / "sim-judge.json"
BATCH = 25
LEAST = 20


def main() -> int:
    """The exit status: 0 when everything ran."""
    parser = argparse.ArgumentParser(prog="benchmarks.judge")
    parser.add_argument("--seed", default="1", help="the same seed gives the same figures")
    parser.add_argument("--count", type=int, default=1_000, help="rollouts of a scenario; slow ones have a part of it")
    parser.add_argument("--only", default="", help="only scenarios whose name has this in it")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    results: report.Report = {}
    with ProcessPoolExecutor(chosen.processes) as pool:
        for scenario in scenarios():
            if chosen.only not in scenario.name:
                continue
            count = max(round(chosen.count * scenario.part), LEAST)
            started = time.monotonic()
            starts = range(0, count, BATCH)
            batches = pool.map(
                batch,
                [scenario] * len(starts),
                [chosen.seed] * len(starts),
                starts,
                [min(start + BATCH, count) for start in starts],
            )
            results[scenario.name] = report.summary(
                scenario, [decisions for batch_decisions in batches for decisions in batch_decisions]
            )
            print(f"  {scenario.name} … {time.monotonic() - started:.1f} s", flush=True)
            if not chosen.only:
                report.write(results, OUTPUT)
    print(f"\n{report.table(results)}\n")
    print("Share of rollouts with an alarm, median canary requests to it, (beside the information limit).")
    if not chosen.only:
        print(f"Written to {OUTPUT.relative_to(OUTPUT.parent.parent)}")
    return 0


def batch(scenario: Scenario, seed: str, start: int, end: int) -> list[Decisions]:
    """Some rollouts of a scenario. Each has a seed of its own, so that it can be repeated alone."""
    seeds = [f"{seed}/{scenario.name}/{number}" for number in range(start, end)]
    if scenario.steps:
        return [rollouts.staged(scenario.world, rollout_seed, scenario.steps) for rollout_seed in seeds]
    return [rollouts.rolled_out(scenario.world, rollout_seed, scenario.judges) for rollout_seed in seeds]


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.drills.canary [--light] [--cases a,b] [--times N] [SERVICE]`: canaries of healthy and broken services under load.

Each case is a rollout of its own on one stack; prints a table as it goes and writes `build/drill-canary.json`.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import django

from landcontracts.embedded.processes import StartFailed
from landcontracts.embedded.stack import BASE, Stack
from tests.drills.canary_traffic import TRAFFIC

if TYPE_CHECKING:
    from tests.drills.canary_cases import Case
    from tests.drills.canary_report import Report
    from tests.drills.canary_stage import Stage

OUTPUT = BASE / "build" / "drill-canary.json"
LIGHT_OUTPUT = BASE / "build" / "drill-canary-light.json"
PEOPLE, LIGHT_PEOPLE = 400, 120
RATE = 50.0
# For answers that are under way when a rollout ends, and for every process to read the changed flag before the next one.
AFTERWARDS_SECONDS = 1.5
BETWEEN_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """The exit status: 0 when every case has its expected outcome, gross failures in time, and no request failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.canary")
    parser.add_argument("service", nargs="?", default="notifications", choices=tuple(TRAFFIC))
    parser.add_argument("--light", action="store_true", help="what CI runs")
    parser.add_argument("--cases", default="", help="names with commas; all where none is given")
    parser.add_argument("--times", type=int, default=1, help="each case so many times")
    options = parser.parse_args(arguments)
    # `make SERVICE=…` exports it as well, and in the environment it makes a process serve one service alone.
    os.environ.pop("SERVICE", None)
    with Stack("drill-canary-light" if options.light else "drill-canary", fresh=True, durable=False) as stack:
        # Hundreds register: a cheap hash, because the drill is not about passwords.
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        os.environ.update(stack.env | {"LOG_LEVEL": "CRITICAL"})
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        django.setup()
        return _play(stack, options)


def _play(stack: Stack, options: argparse.Namespace) -> int:
    from tests.drills.canary_cases import CASES, LIGHT
    from tests.drills.canary_report import Report
    from tests.drills.canary_stage import Stage

    cases = {case.name: case for case in (LIGHT if options.light else CASES)}
    names = [name for name in options.cases.split(",") if name] or list(cases)
    if unknown := [name for name in names if name not in cases]:
        print(f"there is no case {', '.join(unknown)}; there are {', '.join(cases)}", file=sys.stderr)
        return 2
    people = LIGHT_PEOPLE if options.light else PEOPLE
    output = LIGHT_OUTPUT if options.light else OUTPUT
    started = time.monotonic()
    with stack.step("Web server and worker"):
        url = stack.start_web()
        stack.start_worker()
    with stack.step(f"{options.service} apart, {people} people"):
        stage = Stage(stack, url, options.service, people, RATE)
    report = Report(output, {"service": options.service, "people": people, "requests_per_second": RATE})
    with stage:
        for name in names:
            for number in range(1, options.times + 1):
                case = cases[name]
                _one(stage, report, case, name if options.times == 1 else f"{name} {number}")
    seconds, behind = time.monotonic() - started, stage.load.behind
    print(f"  {seconds:.0f} s; clients were at most {behind * 1000:.0f} ms behind their schedule")
    print(
        f"  {'Every case is as it has to be' if report.is_good else 'NOT every case is well'}; see {output.relative_to(BASE)}"
    )
    return 0 if report.is_good else 1


def _one(stage: Stage, report: Report, case: Case, name: str) -> None:
    from tests.drills.canary_cases import SHORT
    from tests.drills.canary_rollout import Rollout, TooLong

    stage.revive()
    run = Rollout(stage, SHORT | case.rules, case.seconds)
    try:
        try:
            case.play(run)
        except (TooLong, StartFailed) as error:
            run.complaints.append(str(error))
        time.sleep(AFTERWARDS_SECONDS)
        report.add(name, case, run.measured(), run.complaints)
    finally:
        run.tidy()
        time.sleep(BETWEEN_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

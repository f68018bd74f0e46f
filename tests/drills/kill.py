"""`python -m tests.drills.kill [--light] [--kills N] [--seed N] [SERVICE]`: cutovers and rollbacks under load, with every process killed in turn.

The controller, the lifted-out service, either database server or the worker is killed (-9), or stopped and continued later, at each
boundary between two steps and at random moments; then the switch is resumed, aborted or left to the worker's watch. Writes
`build/drill-kill.json`.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import threading
import time

import django

from landcontracts.embedded.stack import BASE, Stack
from landcontracts.topology import MOVABLE

OUTPUT = BASE / "build" / "drill-kill.json"
LIGHT_OUTPUT = BASE / "build" / "drill-kill-light.json"
KILLS, LIGHT_KILLS = 200, 12
PEOPLE = 12
# The watch begins sooner than by default, so that it meets other processes more often.
LEFT_SECONDS = "1"


def main(arguments: list[str]) -> int:
    """The exit status: 0 when nothing was lost, doubled or stuck, no service had two primaries, and every boundary was hit."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.kill")
    parser.add_argument("service", nargs="?", default="contracts", choices=MOVABLE)
    parser.add_argument("--light", action="store_true", help="what CI runs")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(arguments)
    kills = options.kills or (LIGHT_KILLS if options.light else KILLS)
    started = time.monotonic()
    # `make SERVICE=…` exports it as well, and in the environment it makes a process serve one service alone.
    os.environ.pop("SERVICE", None)
    with Stack("drill-kill-light" if options.light else "drill-kill", fresh=True, durable=True) as stack:
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64", "CUTOVER_LEFT_SECONDS": LEFT_SECONDS}
        # Broken connections would be logged in every round.
        os.environ.update(stack.env | {"LOG_LEVEL": "CRITICAL"})
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        django.setup()
        from tests.drills.kill_controller import prepare, run_action
        from tests.drills.kill_load import Load
        from tests.drills.kill_plan import Plan
        from tests.drills.kill_report import Report
        from tests.drills.kill_rounds import Rounds
        from tests.drills.kill_watch import Watch
        from tests.drills.people import People

        preparing = threading.Thread(target=prepare, args=(options.service,), name="prepare")
        with stack.step("Its own database follows and is verified; web server, worker and lifted-out service"):
            preparing.start()
            url = stack.start_web()
            stack.start_worker()
            stack.start_lifted(options.service, url)
            preparing.join()
        with stack.step("People, everybody served by the lifted-out service, and a sale in calm"):
            people = People(url, PEOPLE)
            run_action(options.service, "remote", "100")
            load = Load(url, options.service, people)
        report = Report(LIGHT_OUTPUT if options.light else OUTPUT, options.service, options.seed)
        with Watch(options.service) as watch, load:
            rounds = Rounds(stack, url, options.service, Plan(options.seed), load, report)
            rounds.play(kills)
        report.two_primaries.extend(watch.violations)
        verdict = load.audit(rounds.primary)
        report.lost, report.doubled = verdict.lost, verdict.doubled
        report.broken = [*load.sales.broken, *load.plots.refused]
        report.figures = {
            "seconds": round(time.monotonic() - started),
            "looks": watch.polls,
            "sales": len(load.sales.facts),
            "plots": len(load.plots.acknowledged),
            "unacknowledged": len(load.plots.unacknowledged),
            "commands": len(load.tally.keys) + len(load.plots.acknowledged),
            "repeated": len(load.tally.failures) + load.plots.repeated,
        }
        report.write()
        return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

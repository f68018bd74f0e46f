"""`python -m tests.drills [--light] [SERVICE …]`: the whole drill, on a stack of its own; `--light` is what CI runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

from landcontracts.embedded.stack import BASE, Stack
from landcontracts.topology import SERVICES

OUTPUT = BASE / "build" / "drill-lift.json"
LAST_ERRORS, MOST_CHARACTERS = 5, 1_500
LIGHT_OUTPUT = BASE / "build" / "drill-lift-light.json"


def main(services: list[str]) -> int:
    """The exit status: 0 when every goal is reached."""
    light = "--light" in services
    services = [name for name in services if name != "--light"]
    if unknown := [name for name in services if name not in SERVICES]:
        print(f"there is no service {', '.join(unknown)}; there are {', '.join(SERVICES)}", file=sys.stderr)
        return 2
    with Stack("drill-light" if light else "drill", fresh=True, durable=False) as stack:
        # Thousands register: a cheap hash, because the drill is not about passwords.
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        os.environ.update(stack.env)
        django.setup()
        from tests.drills.lift import LIGHT, Drill, Scale
        from tests.drills.report import Report

        scale = LIGHT if light else Scale()
        output = LIGHT_OUTPUT if light else OUTPUT
        with stack.step("Web server and worker"):
            url = stack.start_web()
            stack.start_worker()
        with stack.step(f"{scale.actors} people and a sale in calm"):
            report = Report(output)
            drill = Drill(stack, url, scale, report)
            drill.rehearse()
        for service in services or SERVICES:
            drill.lift(service)
        print(
            f"  {'Every goal is reached' if report.is_good else 'NOT every goal is reached'}; see {output.relative_to(BASE)}"
        )
        if not report.is_good:
            print_errors(stack.folder / "logs")
        return 0 if report.is_good else 1


def print_errors(logs: Path) -> None:
    """What the processes logged as errors, the last of each: it says more than the answers that the clients got."""
    for path in sorted(logs.glob("*.log")):
        lines = [line for line in path.read_text(errors="replace").splitlines() if '"level": "error"' in line]
        for line in lines[-LAST_ERRORS:]:
            print(f"  {path.name}: {line[-MOST_CHARACTERS:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

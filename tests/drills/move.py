"""`python -m tests.drills.move [--light] [SERVICE …]`: the whole drill, on a stack of its own; `--light` is what CI runs.

Prints a table as it goes and writes `build/drill-move.json`.
"""

from __future__ import annotations

import os
import sys

import django

from landcontracts.embedded.stack import BASE, Stack
from landcontracts.topology import MOVABLE

OUTPUT = BASE / "build" / "drill-move.json"
LIGHT_OUTPUT = BASE / "build" / "drill-move-light.json"


def main(arguments: list[str]) -> int:
    """The exit status: 0 when nothing failed, was lost or doubled. Pauses and lag are reported, met or missed."""
    light = "--light" in arguments
    services = [name for name in arguments if name != "--light"]
    if unknown := [name for name in services if name not in MOVABLE]:
        print(f"there is no service {', '.join(unknown)} that moves; there are {', '.join(MOVABLE)}", file=sys.stderr)
        return 2
    services = services or list(MOVABLE)
    # Durable: how long a switch takes is decided by what is written to the disk.
    with Stack("drill-move-light" if light else "drill-move", fresh=True, durable=True) as stack:
        # Many register: a cheap hash, because the drill is not about passwords.
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        os.environ.update(stack.env)
        django.setup()
        from tests.drills import move_rows
        from tests.drills.leader import Leader
        from tests.drills.move_report import Report
        from tests.drills.move_run import LIGHT, Moves, Scale

        scale = LIGHT if light else Scale()
        output = LIGHT_OUTPUT if light else OUTPUT
        with stack.step("Rows that were there before"):
            rows = sum(move_rows.make(stack.owner_url, service, scale.rows) for service in services)
        with stack.step(f"{rows:,} rows; web server and worker"):
            url = stack.start_web()
            stack.start_worker()
        report = Report(output)
        with Leader() as leader:
            with stack.step("People, and a sale in calm"):
                moves = Moves(stack, url, scale, report, leader)
                moves.rehearse()
            for service in services:
                moves.relocate(service)
            with stack.step(f"A sale with {len(services)} apart"):
                wrong = moves.finish(services)
        for words in wrong[:20]:
            print(f"    {words}", file=sys.stderr)
        is_good = report.is_good and not wrong
        print(f"  {'Nothing is lost' if is_good else 'NOT everything is well'}; see {output.relative_to(BASE)}")
        return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

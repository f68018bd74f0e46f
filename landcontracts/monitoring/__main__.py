"""`python -m landcontracts.monitoring dashboards [--check]`, and `… render --to FOLDER` for other addresses."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from landcontracts.monitoring import grafana
from landcontracts.monitoring.renderer import Overrides, UnknownJob, render


def main() -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.monitoring")
    actions = parser.add_subparsers(dest="verb", required=True)
    drawing = actions.add_parser("dashboards", help="write migrations_playbook/grafana from landcontracts/monitoring")
    drawing.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    rendering = actions.add_parser(
        "render", help="migrations_playbook/alerting for other addresses; the webhook is ALERT_WEBHOOK_URL"
    )
    rendering.add_argument(
        "--to", type=Path, required=True, help="folder for rules.yml, prometheus.yml, alertmanager.yml"
    )
    rendering.add_argument(
        "--target", action="append", default=[], metavar="JOB=HOST:PORT", help="web=…, worker=…, lifted/documents=…"
    )
    rendering.add_argument("--alertmanager", default="", metavar="HOST:PORT")
    rendering.add_argument("--interval", default="", help="of scraping and evaluating, such as 1s")
    rendering.add_argument(
        "--patience", default="", help="before and between messages about one group of alerts, such as 1s"
    )
    arguments = parser.parse_args()
    if arguments.verb == "dashboards":
        return dashboards(check=arguments.check)
    pairs = [target.partition("=") for target in arguments.target]
    if wrong := [name for name, _, address in pairs if not name or ":" not in address]:
        parser.error(f"--target takes JOB=HOST:PORT, and not {', '.join(wrong)}")
    overrides = Overrides(
        {name: address for name, _, address in pairs},
        arguments.alertmanager,
        os.environ.get("ALERT_WEBHOOK_URL", ""),
        arguments.interval,
        arguments.patience,
    )
    try:
        render(arguments.to, overrides)
    except UnknownJob as error:
        parser.error(str(error))
    return 0


def dashboards(*, check: bool) -> int:
    """Write the dashboards, or list the stale ones; returns the exit status."""
    if not check:
        grafana.write()
        return 0
    for path in grafana.stale():
        print(f"{path.relative_to(grafana.FOLDER.parent.parent)} is stale: run `make dashboards`", file=sys.stderr)
    return 1 if grafana.stale() else 0


if __name__ == "__main__":
    sys.exit(main())

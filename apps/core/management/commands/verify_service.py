"""`manage.py verify_service documents http://127.0.0.1:9000`: runs our contract tests against the service at a URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import topology
from apps.core.seam.client.http import Address
from apps.core.seam.verify import conformance


class Command(BaseCommand):
    """Prints a row per operation; the exit status is 1 when one fails."""

    help = "Check that a service at a URL honours the wire and passes the contract tests of the service it stands for."
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        """Which service, and where."""
        parser.add_argument("service", choices=tuple(topology.entries()))
        parser.add_argument("url", help="http://host:port, or unix:///path of a socket")
        parser.add_argument(
            "--wire-only", action="store_true", help="without the contract tests, which need the whole platform"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print. Raises: CommandError with the number of operations that fail."""
        service, url = options["service"], options["url"]
        try:
            Address(url)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if problem := conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME):
            raise CommandError(problem)
        problems: dict[str, list[str]] = defaultdict(list)
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])  # checks of the wire, contract tests
        for check in conformance.check(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME):
            counts[check.operation][0] += 1
            if check.problem:
                problems[check.operation].append(f"{check.name}: {check.problem}")
        tests = {} if options["wire_only"] else contract_tests(service, url)
        for name, exercised, problem in tests.get("rows", []):
            for operation in exercised:
                counts[operation][1] += 1
            if problem and exercised:
                # A test's problem concerns the last answer.
                problems[exercised[-1]].append(f"{name}: {problem}")
        self._print(service, problems, counts, tests)

    def _print(
        self, service: str, problems: dict[str, list[str]], counts: dict[str, list[int]], tests: dict[str, Any]
    ) -> None:
        operations = topology.key_of(service).operations.values()
        for operation in operations:
            operation_problems = problems[operation.name]
            mark = "FAILED" if operation_problems else "ok"
            wire, tested = counts[operation.name]
            self.stdout.write(f"  {operation.name:<20} {operation.kind:<8} {wire:>3} wire {tested:>3} tests  {mark}")
            for words in operation_problems[:5]:
                self.stdout.write(f"      {words}")
        bad = sum(1 for operation in operations if problems[operation.name])
        if tests.get("failed") and not bad:
            raise CommandError(f"the contract tests did not pass:\n{tests['output'][-3000:]}")
        if bad:
            raise CommandError(f"{bad} of {len(operations)} operations of {service} do not hold")
        self.stdout.write(f"{service} holds: {len(operations)} operations, {sum(map(sum, counts.values()))} checks")


def contract_tests(service: str, url: str) -> dict[str, Any]:
    """Run the service's contract tests against a URL: rows of (test, operations, problem). Raises: CommandError."""
    folder = settings.BASE_DIR / "apps" / service / "tests"
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        variables = {"VERIFY_ELSEWHERE": json.dumps({service: url}), "VERIFY_REPORT": str(report)}
        process = subprocess.run(
            [sys.executable, "-m", "pytest", str(folder), "-q", "-p", "no:randomly"],
            cwd=settings.BASE_DIR,
            env={"WEB_URL": url, **os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            raise CommandError(f"the contract tests could not be run:\n{(process.stdout + process.stderr)[-3000:]}")
        return {"rows": json.loads(report.read_text()), "failed": process.returncode != 0, "output": process.stdout}

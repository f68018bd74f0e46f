"""`manage.py seam_secrets documents`: the secrets of one service's pairs, for a service that runs on another host."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.core import topology
from apps.core.seam import signing


class Command(BaseCommand):
    """Prints secrets: for a pipe into a secret store, not for a log."""

    help = "Print SEAM_PAIR_SECRETS for one service: of calls to it and of calls by it."
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        """Which service."""
        parser.add_argument("service", choices=tuple(topology.entries()))

    def handle(self, *args: Any, **options: Any) -> None:
        """One line of JSON."""
        pairs = signing.pairs_of(options["service"], topology.entries())
        self.stdout.write(json.dumps(pairs))

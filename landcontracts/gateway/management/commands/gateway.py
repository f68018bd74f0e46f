"""`manage.py gateway render kong|envoy`: renders the route table as a gateway's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from landcontracts.gateway.deployment import HELP, BadOption, from_options
from landcontracts.gateway.keys import NoKeys, load
from landcontracts.gateway.renderer import FILES, text

MANY = {
    "apart": "SERVICE=http://HOST:PORT: this service is lifted out for good",
    "origin": "a site whose scripts may use the API, such as https://app.example",
    "limit": "KIND=REQUESTS/SECONDS for one client: sign-in, api, files, pages, nowhere",
    "patience": "KIND=SECONDS for an answer: usual, long",
    "body": "KIND=BYTES of a request: small, file",
}


class Command(BaseCommand):
    """Without options, renders the two committed files, which `docker-compose.yml` uses."""

    help = "Render the public routes for Kong (declarative, DB-less) or Envoy (static)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The gateway, the output, and the differences from the compose file."""
        actions = parser.add_subparsers(dest="verb", required=True)
        rendering = actions.add_parser("render", help="write a configuration")
        rendering.add_argument("gateway", choices=sorted(FILES))
        where = rendering.add_mutually_exclusive_group()
        where.add_argument("--output", help="a file; without it, standard output")
        where.add_argument("--check", action="store_true", help="fail where the committed file differs")
        for name, words in HELP.items():
            rendering.add_argument(f"--{name}", help=words)
        for name, words in MANY.items():
            rendering.add_argument(f"--{name}", action="append", default=[], help=words)
        rendering.add_argument(
            "--trusted-hops", type=_count, default=0, help="proxies in front, which add the client's address"
        )
        rendering.add_argument("--idle", help="seconds without a byte after which a request is abandoned")
        rendering.add_argument("--jwks", help="for kong: the key set, a file or an address")

    def handle(self, *args: Any, **options: Any) -> None:
        """Render, and write or compare. Raises: CommandError."""
        gateway = options["gateway"]
        try:
            deployment = from_options(options)
            keys = load(options["jwks"]) if options["jwks"] else ()
        except (BadOption, NoKeys) as error:
            raise CommandError(str(error)) from None
        if keys and gateway != "kong":
            raise CommandError("Envoy fetches the key set itself; --jwks is for Kong.")
        rendered = text(gateway, deployment, keys)
        if options["check"]:
            self._check(gateway, rendered)
        elif options["output"]:
            Path(options["output"]).write_text(rendered)
        else:
            self.stdout.write(rendered, ending="")

    def _check(self, gateway: str, rendered: str) -> None:
        file = FILES[gateway]
        if not file.exists() or file.read_text() != rendered:
            path = file.relative_to(file.parent.parent.parent)
            raise CommandError(f"{file.name} is stale: run `manage.py gateway render {gateway} --output {path}`.")


def _count(value: str) -> int:
    if not value.isdecimal():
        raise ValueError(value)
    return int(value)

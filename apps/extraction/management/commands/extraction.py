"""`manage.py extraction documents remote 5`: turn a service's flags, or see how they stand."""

from __future__ import annotations

import getpass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.models import Flag
from apps.core.seam import conformance, topology
from apps.extraction import routing

ALL = "all"


class Command(BaseCommand):
    """Every change is recorded with who made it and why."""

    help = "See or change where services are served: extraction [SERVICE [status | remote SHARE | shadow SHARE]]"

    def add_arguments(self, parser: CommandParser) -> None:
        """The service, the verb and its share."""
        parser.add_argument("service", nargs="?", default=ALL, choices=(*topology.entries(), ALL))
        parser.add_argument("verb", nargs="?", default="status", choices=("status", *routing.KINDS))
        parser.add_argument("share", nargs="?", help="percent of people, 0 to 100, or `off` for nobody at all")
        parser.add_argument("--reason", default="", help="kept in the history")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change, then show. Raises: CommandError."""
        service, verb, share = options["service"], options["verb"], options["share"]
        services = tuple(topology.entries()) if service == ALL else (service,)
        if verb != "status":
            if share is None:
                raise CommandError(f"{verb} wants a share: 0 to 100, or off")
            with routing.by(getpass.getuser(), where="manage.py extraction", reason=options["reason"]):
                for one in services:
                    _change(one, verb, share)
        for line in _table(services):
            self.stdout.write(line)


def _change(service: str, kind: str, share: str) -> None:
    if share == "off":
        routing.switch_off(service, kind)
        return
    try:
        routing.set_share(service, kind, Decimal(share.rstrip("%")))
    except (InvalidOperation, ValidationError):
        raise CommandError(f"{share!r} is no share: 0 to 100 with at most two decimals, or off") from None


def _table(services: tuple[str, ...]) -> list[str]:
    flags = {flag.name: flag for flag in Flag.objects.all()}
    rows = [("service", "remote", "shadow", "lifted-out process")]
    for service in services:
        remote, shadow = flags.get(f"{service}_remote"), flags.get(f"{service}_shadow")
        rows.append((service, _share(remote), _share(shadow), _process(service)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _share(flag: Flag | None) -> str:
    if flag is None or flag.everyone is False:
        return "off"
    if flag.everyone:
        return "everyone"
    listed = f" and {len(flag.actors)} listed" if flag.actors else ""
    return f"{flag.percent.normalize():f} %{listed}"


def _process(service: str) -> str:
    url = settings.SEAM_AWAY.get(service)
    if url is None:
        return "no address in SEAM_AWAY"
    problem = conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME)
    return problem or f"{url} answers"

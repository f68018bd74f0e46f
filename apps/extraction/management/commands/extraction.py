"""`manage.py extraction documents cutover --plan`: lead a service through its migration, or see where it stands."""

from __future__ import annotations

import getpass
from decimal import Decimal, InvalidOperation
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from apps.core import topology
from apps.core.flags.models import Flag
from apps.core.postgres import connections
from apps.core.seam.verify import conformance
from apps.extraction.management import canary, checklist, run
from apps.extraction.pipeline import plans
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.pipeline.routing_phases import LEAST_COMPARED
from apps.extraction.relocation import rehearsal
from apps.extraction.routing import shares
from apps.extraction.state import stages
from apps.extraction.state.action import FAILURES
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.phases import Decision

ALL = "all"
CANARY = "canary"


class Command(BaseCommand):
    """Leads services through their migration. Every change is recorded with its initiator and reason."""

    help = (
        "See or change where services are served and which database is the primary of their data: "
        f"extraction [SERVICE [status | run | {' SHARE | '.join(shares.KINDS)} SHARE | {' | '.join(ACTIONS)} | "
        f"checklist | override ITEM | canary [{' | '.join(canary.ACTIONS)}]]]"
    )
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        """The service, the action, its share and the options."""
        parser.add_argument("service", nargs="?", default=ALL, choices=(*topology.entries(), ALL))
        parser.add_argument(
            "verb",
            nargs="?",
            default="status",
            choices=("status", "run", *shares.KINDS, *ACTIONS, *checklist.ACTIONS, CANARY),
        )
        parser.add_argument(
            "share",
            nargs="?",
            help="percent of people, 0 to 100, or `off` for none; of a canary, the action; for override: an item",
        )
        parser.add_argument(
            "--rule", action="append", default=[], help="canary deploy: NAME=VALUE, such as step_seconds=60"
        )
        parser.add_argument(
            "--run", nargs="?", const=ALL, metavar="ITEM", help="checklist: check an item again, or all"
        )
        parser.add_argument("--as", dest="person", default="", help="override: the administrator who asks, by e-mail")
        parser.add_argument("--reason", default="", help="kept in the history")
        parser.add_argument(
            "--decided",
            action="append",
            default=[],
            help=f"run: what needs no question: {', '.join(Decision)}",
        )
        parser.add_argument(
            "--patience", type=float, default=run.PATIENCE_SECONDS, help="run: seconds to wait for traffic"
        )
        parser.add_argument("--compared", type=int, default=LEAST_COMPARED, help="run: comparisons that have to agree")
        parser.add_argument("--plan", action="store_true", help="show steps, locks, pause and dangers, and do nothing")
        parser.add_argument("--take-over", action="store_true", help="end the session of a leader that hangs")
        parser.add_argument(
            "--here", action="store_true", help="rehearse: the databases of this environment are the copies"
        )
        parser.add_argument("--stop-before", default="", help="stop this process (SIGSTOP) before a step, for drills")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Do the action, then show the services. Raises: CommandError."""
        service, action = options["service"], options["verb"]
        services = tuple(topology.entries()) if service == ALL else (service,)
        if action == "run":
            run.run(service, options, self._write_line)
            return
        if action == CANARY:
            for line in canary.lead(service, options["share"] or "status", options["rule"], options["reason"]):
                self._write_line(line)
            return
        if action in ACTIONS:
            if service == ALL:
                raise CommandError(f"{action} is done with one service at a time")
            self._act(service, action, options)
            services = (service,)
        elif action in checklist.ACTIONS:
            for line in checklist.act(service, action, options):
                self._write_line(line)
            return
        elif action != "status":
            self._set_shares(services, action, options)
        for line in _table(services):
            self.stdout.write(line)
        if action == "status" and service != ALL:
            for line in plans.situation(service):
                self.stdout.write(line)

    def _set_shares(self, services: tuple[str, ...], kind: str, options: dict[str, Any]) -> None:
        if options["share"] is None:
            raise CommandError(f"{kind} wants a share: 0 to 100, or off")
        with shares.initiated_by(getpass.getuser(), where="manage.py extraction", reason=options["reason"]):
            for service in services:
                _change(service, kind, options["share"])

    def _act(self, service: str, action: str, options: dict[str, Any]) -> None:
        if options["plan"]:
            for line in plans.lines(service, action):
                self.stdout.write(line)
            return
        initiator = Initiator(
            getpass.getuser(),
            "manage.py extraction",
            options["reason"],
            write_line=self._write_line,
            stop_before=options["stop_before"],
            take_over=options["take_over"],
        )
        if options["here"]:
            self._write_line(rehearsal.play(service, initiator))
            return
        try:
            move = ACTIONS[action].perform(service, initiator)
        except FAILURES as error:
            raise CommandError(f"{service} {action}: {error}") from error
        self._write_line(f"{action} of {service}: {move.outcome}, record {move.id}")

    def _write_line(self, words: str) -> None:
        self.stdout.write(words)
        self.stdout.flush()


def _change(service: str, kind: str, share: str) -> None:
    if share == "off":
        shares.switch_off(service, kind)
        return
    try:
        shares.set_share(service, kind, Decimal(share.rstrip("%")))
    except (InvalidOperation, ValidationError):
        raise CommandError(f"{share!r} is no share: 0 to 100 with at most two decimals, or off") from None


def _table(services: tuple[str, ...]) -> list[str]:
    flags = {flag.name: flag for flag in Flag.objects.all()}
    rows = [("service", "stage", "remote", "shadow", "primary", "lifted-out process")]
    for service in services:
        remote, shadow = flags.get(f"{service}_remote"), flags.get(f"{service}_shadow")
        stage, primary = _stage(service)
        rows.append((service, stage, _share(remote), _share(shadow), primary, _process(service)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _stage(service: str) -> tuple[str, str]:
    """The stage, and which database is the primary."""
    try:
        observed = stages.observe(service)
    except stages.TwoPrimaries:
        return "TWO PRIMARIES", "both"
    except (connections.NoWay, psycopg.OperationalError) as error:
        return "not known", str(error).splitlines()[0][:60]
    primary = {None: "none", stages.SHARED: "shared"}.get(observed.primary, "own")
    return observed.stage.value, primary


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

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

ALL = "all"
CANARY = "canary"


class Command(BaseCommand):
    """Every change is recorded with who made it and why."""

    help = (
        "See or change where services are served and which database is the primary of their data: "
        "extraction [SERVICE [status | run | remote SHARE | shadow SHARE | prepare | sync | verify | cutover | rollback | commit | "
        "decommission | resume | abort | rehearse | checklist | override ITEM | "
        "canary [deploy | promote | hold | resume | roll-back]]]"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The service, the verb and its share."""
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
            help="percent of people, 0 to 100, or `off` for nobody at all; of a canary, what to do with it; for override: an item",
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
            help="run: what needs no question: canary, cutover, commit, decommission",
        )
        parser.add_argument(
            "--patience", type=float, default=run.PATIENCE_SECONDS, help="run: seconds to wait for traffic"
        )
        parser.add_argument("--compared", type=int, default=LEAST_COMPARED, help="run: comparisons that have to agree")
        parser.add_argument("--plan", action="store_true", help="show steps, locks, pause and dangers, and do nothing")
        parser.add_argument("--take-over", action="store_true", help="end the session of whoever leads and hangs")
        parser.add_argument(
            "--here", action="store_true", help="rehearse: the databases of this environment are the copies"
        )
        parser.add_argument("--stop-before", default="", help="stop this process (SIGSTOP) before a step, for drills")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Change, then show. Raises: CommandError."""
        service, verb = options["service"], options["verb"]
        services = tuple(topology.entries()) if service == ALL else (service,)
        if verb == "run":
            run.run(service, options, self._write_line)
            return
        if verb == CANARY:
            for line in canary.lead(service, options["share"] or "status", options["rule"], options["reason"]):
                self._write_line(line)
            return
        if verb in ACTIONS:
            if service == ALL:
                raise CommandError(f"{verb} is done with one service at a time")
            self._act(service, verb, options)
            services = (service,)
        elif verb in checklist.ACTIONS:
            for line in checklist.act(service, verb, options):
                self._write_line(line)
            return
        elif verb != "status":
            self._turn(services, verb, options)
        for line in _table(services):
            self.stdout.write(line)
        if verb == "status" and service != ALL:
            for line in plans.situation(service):
                self.stdout.write(line)

    def _turn(self, services: tuple[str, ...], kind: str, options: dict[str, Any]) -> None:
        if options["share"] is None:
            raise CommandError(f"{kind} wants a share: 0 to 100, or off")
        with shares.initiated_by(getpass.getuser(), where="manage.py extraction", reason=options["reason"]):
            for one in services:
                _change(one, kind, options["share"])

    def _act(self, service: str, verb: str, options: dict[str, Any]) -> None:
        if options["plan"]:
            for line in plans.lines(service, verb):
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
            move = ACTIONS[verb].perform(service, initiator)
        except FAILURES as error:
            raise CommandError(f"{service} {verb}: {error}") from error
        self._write_line(f"{verb} of {service}: {move.outcome}, record {move.id}")

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
    rows = [("service", "stage", "remote", "shadow", "primary", "remote process")]
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

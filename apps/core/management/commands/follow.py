"""`manage.py follow REQUEST_OR_TRACE_ID`: the trace of one request through the databases."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.core.observability.masking import masked_text
from apps.core.seam.events import request_trace
from apps.core.seam.events.request_trace import Step

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Command(BaseCommand):
    """Prints each event in order of time: consumer, time and effect, or why it still waits. Contents are never shown."""

    help = "Follow one request by its request id, trace id or traceparent through the events that it caused."
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        """Which request, and how far back to look."""
        parser.add_argument("identity", help="the X-Request-ID, 32 hexadecimal digits of a trace, or a traceparent")
        parser.add_argument("--hours", type=float, default=72, help="how far back to look (default 72)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find and print the steps. Raises: CommandError for a malformed id, and when no event is found."""
        text = options["identity"]
        whole = _TRACEPARENT.fullmatch(text)
        identity = whole.group(1) if whole else text
        if _ID.fullmatch(identity) is None or not 0 < options["hours"] <= 24 * 366:
            raise CommandError(gettext("That is no request id, trace id or number of hours."))
        steps = request_trace.steps(identity, timezone.now() - timedelta(hours=options["hours"]))
        if not steps:
            raise CommandError(
                gettext(
                    "No event of this request is stored in these databases. A request that only reads leaves none; "
                    "its log lines have the same id."
                )
            )
        first = steps[0]
        self.stdout.write(
            gettext("Request {request}, trace {trace}").format(request=first.request_id, trace=first.trace_id)
        )
        for step in steps:
            self._print(step)
        waiting = sum(step.delivered_at is None for step in steps)
        self.stdout.write(
            ngettext("{count} delivery is still to come.", "{count} deliveries are still to come.", waiting).format(
                count=waiting
            )
            if waiting
            else gettext("Everything has been delivered.")
        )

    def _print(self, step: Step) -> None:
        who = str(step.actor_id) if step.actor_id else gettext("the system")
        self.stdout.write(
            f"{_clock(step.occurred_at)}  {step.type} → {step.consumer}  "
            + gettext("about {aggregate} no. {sequence}, by {who}").format(
                aggregate=step.aggregate_id, sequence=step.sequence, who=who
            )
        )
        if step.delivered_at is not None:
            ms = round(((step.handled_at or step.delivered_at) - step.occurred_at).total_seconds() * 1000)
            words = gettext("handled after {ms} ms at attempt {attempts}").format(ms=ms, attempts=step.attempts)
            effect = f": {masked_text(step.effect)}" if step.effect else ""
            self.stdout.write(f"{_clock(step.handled_at or step.delivered_at)}    {words}{effect}")
            return
        words = gettext("waits, attempts so far: {attempts}").format(attempts=step.attempts)
        if step.next_at is not None:
            words += ", " + gettext("next not before {time}").format(time=_clock(step.next_at))
        self.stdout.write(" " * 26 + words)
        if step.last_error:
            self.stdout.write(" " * 26 + masked_text(step.last_error))


def _clock(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " "

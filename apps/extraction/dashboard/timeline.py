"""The chronicle of a service: actions on its canaries, its data and its flags, with who and why, as one list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils.translation import gettext

from apps.core.flags import history as flag_history
from apps.core.flags.models import FlagChange
from apps.extraction.dashboard import labels
from apps.extraction.pipeline.actions import label_of
from apps.extraction.routing import shares
from apps.extraction.routing.canary import actions as canary_actions
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CanaryEntry
from apps.extraction.routing.judge import explanation
from apps.extraction.state.models import Move, Outcome

PAGE = 20
CANARY, DATA, FLAG = "canary", "data", "flag"
# A canary's action and its change of the flag are one transaction.
SAME = timedelta(seconds=1)
GOOD, BAD, PLAIN = "good", "bad", ""


class Line(NamedTuple):
    """One action.

    `why` is the person's reason or the judge's sentence; `pk` identifies the record of an action on data.
    """

    name: str
    at: datetime
    service: str
    kind: str
    what: str
    detail: str
    who: str
    where: str
    why: str
    tone: str
    pk: Any = None


class Page(NamedTuple):
    """A page of the list, numbered from 1."""

    lines: list[Line]
    number: int
    has_older: bool


def page(service: str, number: int) -> Page:
    """A page of a service's list, newest first."""
    number = max(1, number)
    last = number * PAGE
    merged = _once(sorted(_newest(service, 2 * last + 1), key=lambda line: line.at, reverse=True))
    return Page(merged[last - PAGE : last], number, len(merged) > last)


def between(begin: datetime, end: datetime) -> list[Line]:
    """The lines of all services from `begin` up to `end`, which is not part of it, oldest first."""
    moves = Move.objects.filter(started_at__gte=begin, started_at__lt=end)
    entries = CanaryEntry.objects.exclude(action="judge").filter(at__gte=begin, at__lt=end).select_related("canary")
    changes = FlagChange.objects.filter(pgh_created_at__gte=begin, pgh_created_at__lt=end)
    lines = [*_moves(moves), *_entries(entries)]
    for name in sorted(set(changes.values_list("name", flat=True))):
        service, _, kind = name.rpartition("_")
        if kind in shares.KINDS:
            lines += [line for line in _flags(service, kind, limit=10_000) if begin <= line.at < end]
    return _once(sorted(lines, key=lambda line: line.at))


def _once(lines: list[Line]) -> list[Line]:
    """The lines without flag changes made by a canary's action, which has its own line."""
    canary_actions = [(line.who, line.at) for line in lines if line.name == CANARY]
    return [
        line
        for line in lines
        if line.name != FLAG or not any(who == line.who and abs(at - line.at) < SAME for who, at in canary_actions)
    ]


def _newest(service: str, count: int) -> Iterator[Line]:
    yield from _moves(Move.objects.filter(service=service).order_by("-started_at")[:count])
    entries = CanaryEntry.objects.filter(canary__service=service).exclude(action="judge")
    yield from _entries(entries.select_related("canary").order_by("-at", "-id")[:count])
    for kind in shares.KINDS:
        yield from _flags(service, kind, limit=count)


def _moves(moves: Iterable[Move]) -> Iterator[Line]:
    tones: dict[str, str] = {Outcome.DONE: GOOD, Outcome.REFUSED: BAD, Outcome.FAILED: BAD}
    for move in moves:
        details = [str(Outcome(move.outcome).label)]
        if move.pause_ms is not None:
            details.append(gettext("pause %(pause)s") % {"pause": labels.milliseconds(move.pause_ms / 1000)})
        if move.problem:
            details.append(move.problem[:300])
        yield Line(
            name=DATA,
            at=move.started_at,
            service=move.service,
            kind=gettext("data"),
            what=label_of(move.verb),
            detail=", ".join(details),
            who=labels.who(move.who),
            where=move.where,
            why=move.reason,
            tone=tones.get(move.outcome, PLAIN),
            pk=move.pk,
        )


def _entries(entries: Iterable[CanaryEntry]) -> Iterator[Line]:
    tones = {"roll-back": BAD, "ask": BAD, "go-on": GOOD, "promote": GOOD}
    for entry in entries:
        is_judge = entry.who == controller.JUDGE
        why = explanation.words(entry.judged_because, entry.numbers, entry.evidence) if is_judge else entry.reason
        yield Line(
            name=CANARY,
            at=entry.at,
            service=entry.canary.service,
            kind=gettext("canary"),
            what=canary_actions.done(entry.action),
            detail=labels.percent(entry.share),
            who=labels.who(entry.who),
            where="" if is_judge else controller.WHERE,
            why=why,
            tone=tones.get(entry.action, PLAIN),
        )


def _flags(service: str, kind: str, *, limit: int) -> Iterator[Line]:
    for change in flag_history.of_flag(f"{service}_{kind}", limit):
        if change.kind == "insert" and not change.who:  # made by a migration, off
            continue
        yield Line(
            name=FLAG,
            at=change.at,
            service=service,
            kind=gettext("flag"),
            what=gettext("People served remotely") if kind == "remote" else gettext("People shadowed"),
            detail=change.words or change.kind,
            who=labels.who(change.who) or gettext("unknown: by SQL"),
            where=change.where,
            why=change.reason,
            tone=PLAIN,
        )

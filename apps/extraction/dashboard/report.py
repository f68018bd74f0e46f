"""The report of a period in the reader's language: sections with a table each, for a page and a PDF alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from apps.core import topology
from apps.extraction.dashboard import board, history, labels, timeline
from apps.extraction.dashboard.timeline import Line
from apps.extraction.pipeline.actions import label_of
from apps.extraction.routing.canary import queries
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryEntry, CanaryState
from apps.extraction.routing.judge import explanation
from apps.extraction.routing.shadow import recorder
from apps.extraction.routing.shadow.models import ShadowComparison
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.phases import STAGES

DAY = timedelta(days=1)
# The most rows of a section: a report is read by people. A longer one says how much it leaves out.
MOST = 500


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `widths` are parts of the page's width; `empty` is shown if there are no rows."""

    heading: str
    columns: tuple[str, ...]
    widths: tuple[float, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    note: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report of a period."""

    title: str
    period: str
    made: str
    contents: tuple[Section, ...]


Gather = Callable[[datetime, datetime], Section]
# Other modules may add theirs; called with the period's begin and its end, which is not part of it.
SECTIONS: list[Gather] = []


def gather(begin: datetime, end: datetime) -> Report:
    """The report of a period; its end is not part of it."""
    lines = timeline.between(begin, end)
    last = timezone.localtime(end) - DAY
    return Report(
        title=gettext("Migration report"),
        period=f"{date_format(timezone.localtime(begin), 'DATE_FORMAT')} — {date_format(last, 'DATE_FORMAT')}",
        made=gettext("Made %(moment)s") % {"moment": date_format(timezone.localtime(), "DATETIME_FORMAT")},
        contents=(
            *_now(begin, end),
            _canaries(begin, end),
            _cutovers(begin, end),
            _incidents(lines),
            _shadow(begin, end),
            _backups(begin, end),
            *(section(begin, end) for section in SECTIONS),
            _actions(lines),
        ),
    )


def _now(begin: datetime, end: datetime) -> tuple[Section, Section]:
    present = board.gather()
    is_past = end <= timezone.now()
    figures = Section(
        heading=gettext("Figures"),
        note=gettext("As they are now: figures of the past are not kept."),
        columns=(gettext("figure"), gettext("value"), gettext("on what it rests")),
        widths=(3, 2, 4),
        rows=tuple((figure.label, figure.value, figure.note) for figure in present.figures.shown),
        empty="",
    )
    ends = {card.service: card.stage_words for card in present.services}
    if is_past:
        ends = {service: str(STAGES[history.stage_at(service, end)].short) for service in topology.entries()}
    stages = Section(
        heading=gettext("Stages"),
        note=gettext("At the period's begin, and its end if that is over, as the record of actions and flags says."),
        columns=(
            *(gettext("service"), gettext("at the begin")),
            *(gettext("at the end") if is_past else gettext("now"), gettext("primary of its data now")),
        ),
        widths=(2, 2, 2, 3),
        rows=tuple(
            (card.service, str(STAGES[history.stage_at(card.service, begin)].short), ends[card.service], card.primary)
            for card in present.services
        ),
        empty="",
    )
    return figures, stages


def _canaries(begin: datetime, end: datetime) -> Section:
    canaries = CanaryDeployment.objects.filter(
        Q(started_at__lt=end) & (Q(ended_at__isnull=True) | Q(ended_at__gte=begin))
    )
    rows = []
    for canary in canaries.order_by("started_at")[:MOST]:
        rules = queries.rules_of(canary)
        ended = moment(canary.ended_at) if canary.ended_at else gettext("under way")
        rows.append((
            canary.service, f"{moment(canary.started_at)} — {ended}", str(CanaryState(canary.state).label),
            labels.percent(rules.steps[canary.step]), f"{labels.who(canary.who)}: {canary.reason}", _last_words(canary),
        ))  # fmt: skip
    return Section(
        heading=gettext("Canaries"),
        columns=(
            *(gettext("service"), gettext("from — to"), gettext("outcome"), gettext("share")),
            *(gettext("deployed by, why"), gettext("the judge's last words")),
        ),
        widths=(2, 3, 2, 1.2, 3, 6),
        rows=tuple(rows),
        empty=gettext("There was no canary."),
        note=_left_out(canaries.count()),
    )


def _last_words(canary: CanaryDeployment) -> str:
    ruling = CanaryEntry.objects.filter(canary=canary).exclude(judged_because="").first()
    if ruling is None:
        return gettext("The judge has not ruled yet.")
    return explanation.words(ruling.judged_because, ruling.numbers, ruling.evidence)


def _cutovers(begin: datetime, end: datetime) -> Section:
    moves = Move.objects.filter(started_at__gte=begin, started_at__lt=end, verb__in=("cutover", "rollback", "resume"))
    rows = tuple(
        (moment(move.started_at), move.service, label_of(move.verb), str(Outcome(move.outcome).label),
         "—" if move.pause_ms is None else labels.milliseconds(move.pause_ms / 1000),
         "—" if move.attempts is None else str(move.attempts), _rows_before(move))
        for move in moves.order_by("started_at")[:MOST]
    )  # fmt: skip
    return Section(
        heading=gettext("Cutovers"),
        columns=(
            *(gettext("at"), gettext("service"), gettext("action"), gettext("outcome")),
            *(gettext("write pause"), gettext("attempts"), gettext("rows compared before")),
        ),
        widths=(2.4, 2, 2, 2, 2, 1.4, 2),
        rows=rows,
        empty=gettext("Nothing was cut over."),
        note=_left_out(moves.count()),
    )


def _rows_before(move: Move) -> str:
    """The rows of the last verification before the action, which it relies on."""
    facts = (
        Move.objects.filter(service=move.service, verb="verify", outcome=Outcome.DONE, started_at__lt=move.started_at)
        .order_by("-started_at")
        .values_list("facts", flat=True)
        .first()
    )
    return labels.number(facts["rows"]) if facts and "rows" in facts else "—"


def _incidents(lines: Iterable[Line]) -> Section:
    failures = [line for line in lines if line.tone == timeline.BAD]
    rows = tuple(
        (moment(line.at), line.service, line.what, line.detail, line.who, line.why) for line in failures[:MOST]
    )
    return Section(
        heading=gettext("Incidents: rolled back, refused, failed, asked"),
        columns=(gettext("at"), gettext("service"), gettext("what"), gettext("how"), gettext("who"), gettext("why")),
        widths=(2.2, 2, 2.4, 4, 3, 3.6),
        rows=rows,
        empty=gettext("Nothing went wrong."),
        note=_left_out(len(failures)),
    )


def _shadow(begin: datetime, end: datetime) -> Section:
    comparisons = (
        ShadowComparison.objects.filter(compared_at__gte=begin, compared_at__lt=end)
        .values("service", "method")
        .annotate(
            compared=Count("id"),
            mismatched=Count("id", filter=Q(verdict="mismatch")),
            noisy=Count("id", filter=Q(verdict="noise")),
            failed=Count("id", filter=Q(verdict="failed")),
        )
        .order_by("-mismatched", "service", "method")
    )
    names = ("service", "method", "compared", "mismatched", "noisy", "failed")
    return Section(
        heading=gettext("Shadow comparisons"),
        note=gettext("Answers that match are kept for %(matches)d day(s), others for %(others)d: what is older is not counted.")
        % {"matches": recorder.MATCHES_KEPT.days, "others": recorder.DIFFERENCES_KEPT.days},
        columns=(
            *(gettext("service"), gettext("method"), gettext("compared")),
            *(gettext("mismatch"), gettext("noise"), gettext("failed")),
        ),
        widths=(2, 3, 1.5, 1.5, 1.5, 1.5),
        rows=tuple((service, method, *map(labels.number, counts)) for service, method, *counts in comparisons.values_list(*names)[:MOST]),
        empty=gettext("Nothing was asked of both sides."),
    )  # fmt: skip


def _backups(begin: datetime, end: datetime) -> Section:
    moves = Move.objects.filter(started_at__gte=begin, started_at__lt=end, facts__has_key="backup")
    return Section(
        heading=gettext("Backups"),
        columns=(
            *(gettext("at"), gettext("service"), gettext("file")),
            *(gettext("rows, restored and compared"), "SHA-256"),
        ),
        widths=(2, 1.6, 3, 1.8, 7),
        rows=tuple(
            (moment(move.started_at), move.service, str(move.facts["backup"]).rpartition("/")[2],
             labels.number(move.facts.get("rows", 0)), str(move.facts.get("sha256", "—")))
            for move in moves.order_by("started_at")[:MOST]
        ),
        empty=gettext("No old tables were backed up."),
    )  # fmt: skip


def _actions(lines: list[Line]) -> Section:
    rows = ((moment(line.at), line.service, line.what, line.detail, f"{line.who} {line.where}".strip(), line.why)
            for line in lines[:MOST])  # fmt: skip
    return Section(
        heading=gettext("Every action"),
        columns=(
            gettext("at"),
            gettext("service"),
            gettext("what"),
            gettext("how"),
            gettext("who, from where"),
            gettext("why"),
        ),
        widths=(2.2, 2, 2.4, 4, 3, 3.6),
        rows=tuple(rows),
        empty=gettext("There were no actions."),
        note=_left_out(len(lines)),
    )


def _left_out(count: int) -> str:
    if count <= MOST:
        return ""
    return gettext("%(shown)d of %(count)d are shown: choose a shorter period.") % {"shown": MOST, "count": count}


def moment(at: datetime) -> str:
    """A time to the minute, in the reader's format."""
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")

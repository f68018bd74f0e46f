"""The platform's five figures: services migrated, rows synchronised, error rates, cost of a remote call (p50, p95)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import msgspec
from django.utils.translation import gettext, ngettext

from apps.datasync.interface import SyncPhase
from apps.extraction.dashboard import labels
from apps.extraction.dashboard.cards import Card, ServiceState, rate
from apps.extraction.dashboard.comparison import WINDOW_SECONDS, Sides
from apps.extraction.state.stages import MIGRATED, SHARED, Stage


class Figure(msgspec.Struct, frozen=True):
    """One figure: its name and label, its value in words, and its basis."""

    name: str
    label: str
    value: str
    note: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The raw values beside the words. None is not known; rates 0 to 1, times in seconds, progress in percent."""

    services_migrated: int
    total_services: int
    movable_services: int
    data_sync_progress: float | None
    error_rate_away: float | None
    error_rate_home: float | None
    performance_impact_p50: float | None
    performance_impact_p95: float | None
    shown: tuple[Figure, ...]


def of(cards: Sequence[Card], states: Sequence[ServiceState], compared: Sequence[Sides]) -> Figures:
    """The figures of a board."""
    sides = reduce(Sides.__add__, compared, Sides())
    migrated = sum(card.stage in MIGRATED for card in cards)
    movable = sum(state.is_movable for state in states)
    progress, rows, all_rows = _progress(states)
    median, slow = sides.cost(0.5), sides.cost(0.95)
    words = (
        Figure("services_migrated", gettext("Services migrated"),
               gettext("%(done)d of %(all)d") % {"done": migrated, "all": len(cards)}, _migrated(cards, movable)),
        Figure("data_sync_progress", gettext("Rows synchronised"),
               "—" if progress is None else labels.percent(progress, 1),
               gettext("%(rows)s of about %(all)s rows are copied or moved") % {"rows": labels.number(rows), "all": labels.number(all_rows)}),
        Figure("error_rate", gettext("Error rate, remote / local"),
               f"{rate(sides.remote.rate)} / {rate(sides.local.rate)}", _period(sides)),
        Figure("performance_impact_p50", gettext("Extra time of a remote call, median"), _cost(median), _quantiles(sides, 0.5)),
        Figure("performance_impact_p95", gettext("Extra time of a remote call, p95"), _cost(slow), _quantiles(sides, 0.95)),
    )  # fmt: skip
    return Figures(
        services_migrated=migrated,
        total_services=len(cards),
        movable_services=movable,
        data_sync_progress=progress,
        error_rate_away=sides.remote.rate,
        error_rate_home=sides.local.rate,
        performance_impact_p50=median[0] if median else None,
        performance_impact_p95=slow[0] if slow else None,
        shown=words,
    )


def _migrated(cards: Sequence[Card], movable: int) -> str:
    reversible = sum(card.stage == Stage.REVERSIBLE for card in cards)
    unknown = sum(card.position < 0 for card in cards)
    words = [ngettext("%(count)d can move", "%(count)d can move", movable) % {"count": movable}]
    if reversible:
        words.append(
            ngettext("%(count)d moved and can go back", "%(count)d moved and can go back", reversible)
            % {"count": reversible}
        )
    if unknown:
        words.append(ngettext("%(count)d not known", "%(count)d not known", unknown) % {"count": unknown})
    return ", ".join(words)


def _progress(states: Sequence[ServiceState]) -> tuple[float | None, int, int]:
    """Percent, count and total of the rows that are in their service's own database, by the planner's estimates."""
    copied = total = 0
    for state in states:
        if not state.is_movable or state.shared is None or state.own is None or state.problem:
            continue
        observed = state.observed()
        if observed is not None and observed.primary not in (SHARED, None):
            copied, total = copied + state.own.rows, total + state.own.rows
            continue
        rows = max(state.shared.rows, state.sync.records_total if state.sync else 0)
        total += rows
        if state.sync is not None:
            copied += rows if state.sync.phase is SyncPhase.FOLLOWING else min(state.sync.records_processed, rows)
    return (100 * copied / total if total else None), copied, total


def _cost(cost: tuple[float, float] | None) -> str:
    if cost is None:
        return "—"
    sign = "+" if cost[0] > 0 else "−" if cost[0] < 0 else ""
    return (
        f"{sign}{labels.milliseconds(abs(cost[0]))} ({sign}{labels.percent(abs(cost[1]) * 100, 0)})" if cost[0] else "0"
    )


def _quantiles(sides: Sides, share: float) -> str:
    remote, local = sides.remote.quantile(share), sides.local.quantile(share)
    if remote is None or local is None:
        return gettext("too few calls to tell")
    values = {"away": labels.milliseconds(remote), "home": labels.milliseconds(local)}
    return gettext("%(away)s remote, %(home)s local") % values


def _period(sides: Sides) -> str:
    calls = sides.remote.calls + sides.local.calls
    if not calls:
        return gettext("no canary has compared the sides yet")
    words = ngettext("%(count)s call in the last %(minutes)d minutes of the newest canaries",
                    "%(count)s calls in the last %(minutes)d minutes of the newest canaries", calls)  # fmt: skip
    return words % {"count": labels.number(calls), "minutes": WINDOW_SECONDS // 60}

"""One service in short: stage, primary, share, canary, lifted-out process, copying, what waits for a person."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.core.flags.snapshot import FlagState
from apps.datasync.interface import Sync, SyncPhase, Verification
from apps.extraction.dashboard import labels
from apps.extraction.dashboard.comparison import Sides
from apps.extraction.dashboard.probe import DatabaseState
from apps.extraction.routing.canary import controller, queries
from apps.extraction.routing.canary.metrics import state_of
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryState
from apps.extraction.routing.judge import explanation
from apps.extraction.state import stages
from apps.extraction.state.models import Move
from apps.extraction.state.phases import STAGES
from apps.extraction.state.stages import MIGRATED, SHARED, Observed, Stage


class ServiceState(NamedTuple):
    """A service at one moment. `silence` is why its process does not answer, None without an address."""

    service: str
    is_movable: bool
    shared: DatabaseState | None
    own: DatabaseState | None
    sync: Sync | None
    verification: Verification | None
    remote: FlagState
    shadow: FlagState
    address: str
    silence: str | None
    is_breaker_open: bool
    canary: CanaryDeployment | None
    move: Move | None
    asked_ago: float

    @property
    def problem(self) -> str:
        """Why the stage is not known; empty if it is."""
        return next((state.problem for state in (self.shared, self.own) if state is not None and state.problem), "")

    @property
    def has_two_primaries(self) -> bool:
        """Whether both databases let the platform write."""
        sides = [state.side for state in (self.shared, self.own) if state is not None]
        return len(sides) == 2 and all(side is not None and side.is_writable for side in sides)

    def observed(self) -> Observed | None:
        """The observation of both databases; None if it is not known, or is no stage."""
        if not self.is_movable:
            return stages.observe(self.service)
        if self.shared is None or self.own is None or self.shared.side is None or self.own.side is None:
            return None
        if self.has_two_primaries:
            return None
        return stages.observed_from(self.service, self.shared.side, self.own.side, self.sync, self.verification)

    @property
    def has_open_canary(self) -> bool:
        """Whether a canary is under way."""
        return self.canary is not None and self.canary.ended_at is None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One service, ready to be shown. `position` is the stage's index from 0, -1 if not known; shares in percent."""

    service: str
    stage: str
    stage_words: str
    position: int
    phase: str
    primary: str
    share: float
    share_words: str
    shadow_words: str
    canary: str
    canary_words: str
    sentence: str
    evidence: float
    evidence_words: str
    process: str
    process_words: str
    sync_percent: float | None
    sync_words: str
    errors_words: str
    latency_words: str
    sides_words: str
    waits: str
    problem: str
    under_way: str


def card(state: ServiceState, sides: Sides | None) -> Card:
    """The card of a service."""
    observed = state.observed()
    stage = observed.stage if observed is not None else None
    process, process_words = _process(state)
    canary, canary_words = _canary(state.canary)
    progress, sync_words = _sync(state, stage)
    remote = state.remote
    return Card(
        service=state.service,
        stage=stage.value if stage else ("two_homes" if state.has_two_primaries else "not_known"),
        stage_words=str(STAGES[stage].short) if stage else _no_stage(state),
        position=list(Stage).index(stage) if stage else -1,
        phase=_phase(stage),
        primary=_primary(state, observed),
        share=100.0 if remote.everyone else 0.0 if remote.everyone is False else remote.percent,
        share_words=labels.share(remote),
        shadow_words=labels.share(state.shadow),
        canary=canary,
        canary_words=canary_words,
        sentence=_sentence(state.canary),
        evidence=float(state.canary.evidence.get("all", 0.0)) if state.canary else 0.0,
        evidence_words=_evidence(state.canary),
        process=process,
        process_words=process_words,
        sync_percent=progress,
        sync_words=sync_words,
        errors_words=_errors(sides),
        latency_words=_latency(sides),
        sides_words="—" if sides is None else f"{_errors(sides)}\n{_latency(sides)}",
        waits=_waits(state, stage),
        problem=state.problem,
        under_way=_under_way(state.move),
    )


def _no_stage(state: ServiceState) -> str:
    return gettext("TWO PRIMARIES") if state.has_two_primaries else gettext("not known")


def _phase(stage: Stage | None) -> str:
    if stage is None:
        return ""
    return gettext("phase %(number)d of 6") % {"number": STAGES[stage].phase.number}


def _primary(state: ServiceState, observed: Observed | None) -> str:
    if state.has_two_primaries:
        return gettext("both databases")
    if observed is None:
        return gettext("not known")
    if observed.primary == SHARED:
        return gettext("shared database") if state.is_movable else gettext("shared database, stays there")
    return gettext("its own database") if observed.primary else gettext("none: writes wait")


def _process(state: ServiceState) -> tuple[str, str]:
    if not state.address:
        return "none", gettext("not lifted out")
    if state.silence:
        is_needed = state.remote.everyone or (state.remote.everyone is None and state.remote.percent > 0)
        return ("silent", gettext("does not answer")) if is_needed else ("idle", gettext("not running"))
    return ("open", gettext("breaker open")) if state.is_breaker_open else ("answers", gettext("answers"))


def _canary(canary: CanaryDeployment | None) -> tuple[str, str]:
    if canary is None:
        return "", gettext("none yet")
    state = state_of(canary)
    label = gettext("not known") if state == "not_known" else str(CanaryState(canary.state).label)
    if canary.ended_at is not None:
        return state, label
    rules = queries.rules_of(canary)
    step = gettext("step %(step)d of %(steps)d") % {"step": canary.step + 1, "steps": len(rules.steps)}
    return state, f"{label}, {step}"


def _sentence(canary: CanaryDeployment | None) -> str:
    if canary is None:
        return ""
    if not canary.numbers:
        return gettext("The judge has not ruled yet.")
    return explanation.words(canary.judged_because, canary.numbers, canary.evidence)


def _evidence(canary: CanaryDeployment | None) -> str:
    if canary is None or not canary.numbers:
        return "—"
    value = float(canary.evidence.get("all", 0.0))
    words = gettext("over a billion") if value >= 1e9 else labels.number(int(value) if value >= 10 else round(value, 2))
    limit = labels.number(round(1 / queries.rules_of(canary).false_rollback))
    return gettext("%(value)s of %(limit)s") % {"value": words, "limit": limit}


def _sync(state: ServiceState, stage: Stage | None) -> tuple[float | None, str]:
    sync = state.sync
    if sync is None:
        if stage in MIGRATED:
            return 100.0, gettext("all rows moved")
        if stage is Stage.REVERSIBLE:
            return 100.0, gettext("moved; the way back follows")
        return None, gettext("nothing is copied")
    total = max(sync.records_total, sync.records_processed, 1)
    is_following = sync.phase is SyncPhase.FOLLOWING
    progress = 100.0 if is_following else 100 * sync.records_processed / total
    words = f"{labels.percent(progress, 1)}, {SYNC_WORDS[sync.phase]()}"
    if sync.lag_seconds is not None:
        words += ", " + gettext("%(seconds)s s behind") % {"seconds": labels.number(sync.lag_seconds)}
    return round(progress, 1), words


def _errors(sides: Sides | None) -> str:
    return "—" if sides is None else f"{rate(sides.remote.rate)} / {rate(sides.local.rate)}"


def rate(value: float | None) -> str:
    """An error rate, or a dash."""
    return "—" if value is None else labels.percent(value * 100)


def _latency(sides: Sides | None) -> str:
    if sides is None:
        return "—"
    return f"{labels.milliseconds(sides.remote.quantile(0.5))} / {labels.milliseconds(sides.local.quantile(0.5))}"


def _waits(state: ServiceState, stage: Stage | None) -> str:
    """The most pressing matter that only a person can decide or repair; empty if there is none."""
    if state.has_two_primaries:
        return gettext("Both databases let the platform write. Close one by hand at once.")
    if state.problem:
        return gettext("A database does not answer: its stage is not known until it does.")
    if stage is Stage.CUTTING:
        return str(STAGES[stage].waits)
    return (state.canary is not None and _of_canary(state.canary)) or _of_stage(state, stage)


def _of_canary(canary: CanaryDeployment) -> str:
    if canary.ended_at is not None:
        return ""
    silent_seconds = (timezone.now() - (canary.judged_at or canary.started_at)).total_seconds()
    if silent_seconds > controller.SILENT_SECONDS:
        seconds = int(silent_seconds)
        words = ngettext("The judge has not looked for %(s)d second: is a worker running?",
                        "The judge has not looked for %(s)d seconds: is a worker running?", seconds)  # fmt: skip
        return words % {"s": seconds}
    if canary.state == CanaryState.AWAITING:
        return gettext("The judge asks: it cannot say that the canary is well. Promote, resume or roll back.")
    return gettext("Held by hand: it stays at this share until resumed.") if canary.state == CanaryState.HELD else ""


def _of_stage(state: ServiceState, stage: Stage | None) -> str:
    if state.verification is not None and state.verification.differences:
        count = state.verification.differences
        return ngettext("%(count)d row differs: a cutover is refused until it does not.",
                        "%(count)d rows differ: a cutover is refused until none does.", count) % {"count": count}  # fmt: skip
    if _process(state)[0] == "silent":
        return gettext(
            "Calls are routed to a process that does not answer; the local service answers for it as long as it can."
        )
    return str(STAGES[stage].waits) if stage else ""


def _under_way(move: Move | None) -> str:
    if move is None:
        return ""
    values: dict[str, Any] = {"verb": move.verb, "who": move.who}
    return gettext("Under way: %(verb)s, asked for by %(who)s.") % values


SYNC_WORDS = {
    SyncPhase.WAITING: lambda: gettext("waiting"),
    SyncPhase.COPYING: lambda: gettext("copying"),
    SyncPhase.BUILDING_KEYS: lambda: gettext("building keys"),
    SyncPhase.FOLLOWING: lambda: gettext("following"),
    SyncPhase.ENDED: lambda: gettext("ended"),
}

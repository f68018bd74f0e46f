"""The actions on a canary: deploy, judge, go on, hold, promote, roll back.

Flag, state and history change in one transaction.

The worker's clock calls the judge each second (`judge_all`). Nothing here runs because a page was opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.flags.models import Flag
from apps.core.seam.verify import conformance
from apps.extraction.routing import shares
from apps.extraction.routing.canary import queries
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryState
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.routing.judge.ruling import Ruling, Verdict, rule
from apps.extraction.state import stages
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.stages import Stage

# An unchanged ruling is written this often: the curve of the evidence is drawn from these lines.
HISTORY_EACH = timedelta(seconds=5)
THRESHOLDS_EACH_SECONDS = 10
# A judge that has not ruled for this long counts as stopped.
SILENT_SECONDS = 15
JUDGE = "the judge"
WHERE = "canary"
DEPLOYABLE = (Stage.IN_PROCESS, Stage.SHADOW)
log = structlog.get_logger(__name__)


class CanaryRefused(Exception):
    """The canary cannot be deployed, or the action makes no sense now; the message says why."""


def open_canary(service: str) -> CanaryDeployment | None:
    """The service's canary that has not ended, if there is one."""
    return CanaryDeployment.objects.filter(service=service, ended_at=None).first()


def latest(service: str) -> CanaryDeployment | None:
    """The service's newest canary."""
    return CanaryDeployment.objects.filter(service=service).first()


def deploy(service: str, rules: Rules, initiator: Initiator) -> CanaryDeployment:
    """Send the first share of people to the lifted-out process; the canary is judged from now on.

    Raises: CanaryRefused; routing.UnknownService.
    """
    _refuse_to_deploy(service)
    shadow = shares.flag(service, "shadow")
    try:
        with transaction.atomic(), shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
            canary = CanaryDeployment.objects.create(
                service=service,
                rules=msgspec.to_builtins(rules),
                who=initiator.who,
                reason=initiator.reason,
                shadow_before=Decimal(0) if shadow.everyone is False else shadow.percent,
            )
            canary.refresh_from_db()
            _turn_remote(canary, rules)
            if rules.shadow_percent > float(shadow.percent) or shadow.everyone is False:
                shares.set_share(service, "shadow", Decimal(str(rules.shadow_percent)))
            _write(canary, rules, "deploy", initiator)
    except IntegrityError:
        raise CanaryRefused(f"{service} has a canary already") from None
    return canary


def _refuse_to_deploy(service: str) -> None:
    if service not in topology.entries():
        raise shares.UnknownService(service)
    url = settings.SEAM_AWAY.get(service)
    if url is None:
        raise CanaryRefused(f"SEAM_AWAY has no address for {service}")
    if open_canary(service) is not None:
        raise CanaryRefused(f"{service} has a canary already")
    remote = Flag.objects.filter(name=f"{service}_remote").first()
    if remote is not None and remote.everyone is None and (remote.percent or remote.actors):
        raise CanaryRefused(
            f"{remote.name} serves people remotely already: turn it to 0 first, so that sides are drawn anew"
        )
    snapshot.forget()  # the flag may have been turned a moment ago
    stage = stages.observe(service).stage
    if stage not in DEPLOYABLE:
        raise CanaryRefused(f"{service} is at stage {stage}: a canary begins with everybody served locally")
    if problem := conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME):
        raise CanaryRefused(f"{service} does not answer at {url}: {problem}")


@contextmanager
def _locked(service: str) -> Iterator[CanaryDeployment]:
    """The open canary, locked. Raises: CanaryRefused."""
    with transaction.atomic():
        canary = CanaryDeployment.objects.select_for_update(no_key=True).filter(service=service, ended_at=None).first()
        if canary is None:
            raise CanaryRefused(f"{service} has no canary under way")
        yield canary


def promote(service: str, initiator: Initiator, position_seen: str = "") -> CanaryDeployment:
    """Go on to the next share now, in spite of the judge; after the last share the canary has ended well.

    `position_seen` is the `position` that the person saw when they decided, if time passed since. Raises:
    CanaryRefused.
    """
    with _locked(service) as canary, shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
        rules = queries.rules_of(canary)
        if position_seen and position_seen != position(canary):
            raise CanaryRefused(f"the canary of {service} has gone on meanwhile: look again")
        if not queries.is_flag_ours(canary, rules):
            raise CanaryRefused(
                f"the flag of {service} is not at this step's {rules.steps[canary.step]:g} %: roll back, or set it"
            )
        _go_on(canary, rules, "promote", initiator)
    return canary


def position(canary: CanaryDeployment) -> str:
    """The canary's id and its step, as one string."""
    return f"{canary.id}/{canary.step}"


def hold(service: str, initiator: Initiator) -> CanaryDeployment:
    """Stay at this share until a person resumes. Harm still rolls it back. Raises: CanaryRefused."""
    return _change(service, CanaryState.HELD, "hold", initiator)


def resume(service: str, initiator: Initiator) -> CanaryDeployment:
    """Let the judge decide again: after a hold, or after a person was asked. Raises: CanaryRefused."""
    return _change(service, CanaryState.RUNNING, "resume", initiator)


def roll_back(service: str, initiator: Initiator) -> CanaryDeployment:
    """Serve everybody locally, now. Raises: CanaryRefused."""
    with _locked(service) as canary, shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
        _roll_back(canary, queries.rules_of(canary), initiator)
    return canary


def _change(service: str, state: CanaryState, action: str, initiator: Initiator) -> CanaryDeployment:
    with _locked(service) as canary:
        if canary.state == state:
            raise CanaryRefused(f"the canary of {service} is {state.label} already")
        canary.state, canary.not_known_since = state, None
        canary.save()
        _write(canary, queries.rules_of(canary), action, initiator)
    return canary


def judge_all() -> list[CanaryDeployment]:
    """Judge every open canary and act on the rulings, except those that another process is judging.

    A canary that cannot be judged does not keep the others from being judged; it shows as not judged.
    """
    judged = []
    for canary_id in CanaryDeployment.objects.filter(ended_at=None).values_list("id", flat=True):
        try:
            with transaction.atomic():
                rows = CanaryDeployment.objects.select_for_update(skip_locked=True, no_key=True)
                canary = rows.filter(id=canary_id, ended_at=None).first()
                if canary is not None:
                    judge(canary)
                    judged.append(canary)
        except Exception:
            log.exception("canary_not_judged", canary=str(canary_id))
    return judged


def judge(canary: CanaryDeployment) -> Ruling:
    """Judge one canary, locked by the caller, and act on the ruling."""
    rules = queries.rules_of(canary)
    ruling = rule(rules, queries.observation(canary))
    before = int(canary.numbers.get("seconds", 0))
    changed = (canary.verdict, canary.judged_because) != (ruling.verdict.value, ruling.reason.value)
    now = timezone.now()
    canary.verdict, canary.judged_because = ruling.verdict.value, ruling.reason.value
    canary.evidence, canary.numbers, canary.judged_at = ruling.evidence, ruling.numbers, now
    if (
        not canary.thresholds
        or int(ruling.numbers["seconds"]) // THRESHOLDS_EACH_SECONDS != before // THRESHOLDS_EACH_SECONDS
    ):
        canary.thresholds = queries.thresholds(canary) or canary.thresholds
    canary.not_known_since = (canary.not_known_since or now) if ruling.verdict is Verdict.NOT_KNOWN else None
    canary.save()
    if changed or _is_due(canary, now):
        _write(canary, rules, "judge", Initiator(JUDGE, WHERE, ""))
    _act_on(canary, rules, ruling, now)
    return ruling


def _act_on(canary: CanaryDeployment, rules: Rules, ruling: Ruling, now: datetime) -> None:
    initiator = Initiator(JUDGE, WHERE, ruling.reason.value)
    if ruling.verdict is Verdict.HARM:
        with shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
            _roll_back(canary, rules, initiator)
        log.warning("canary_rolled_back", app=canary.service, because=ruling.reason.value, evidence=ruling.evidence)
    elif ruling.verdict is Verdict.CLEAR and canary.state == CanaryState.RUNNING:
        with shares.initiated_by(initiator.who, where=initiator.where, reason=initiator.reason):
            _go_on(canary, rules, "go-on", initiator)
    elif canary.state == CanaryState.RUNNING and _has_waited(canary, rules, now):
        canary.state = CanaryState.AWAITING
        canary.save()
        _write(canary, rules, "ask", initiator)
        log.warning("canary_awaits_a_decision", app=canary.service, because=ruling.reason.value)


def _has_waited(canary: CanaryDeployment, rules: Rules, now: datetime) -> bool:
    if canary.not_known_since is None:
        return False
    has_waited = canary.judged_because == "too_little"  # this ruling comes only after the patience is over
    return has_waited or (now - canary.not_known_since).total_seconds() > rules.patience_seconds


def _is_due(canary: CanaryDeployment, now: datetime) -> bool:
    last = canary.entries.filter(action="judge").values_list("at", flat=True).first()
    return last is None or now - last >= HISTORY_EACH


def _go_on(canary: CanaryDeployment, rules: Rules, action: str, initiator: Initiator) -> None:
    ruled = canary.verdict, canary.judged_because
    if canary.step + 1 < len(rules.steps):
        canary.step += 1
        canary.step_started_at, canary.not_known_since = queries.now(), None  # the clock by which ages are counted
        canary.state, canary.verdict, canary.judged_because = CanaryState.RUNNING, Verdict.WATCHING.value, "time"
        canary.thresholds = queries.thresholds(canary) or canary.thresholds
        canary.save()
        _turn_remote(canary, rules)
    else:
        canary.state, canary.ended_at = CanaryState.PROMOTED, timezone.now()
        canary.save()
        _turn_shadow_back(canary)
    _write(canary, rules, action, initiator, ruled=ruled)


def _roll_back(canary: CanaryDeployment, rules: Rules, initiator: Initiator) -> None:
    shares.switch_off(canary.service, "remote")
    _turn_shadow_back(canary)
    canary.state, canary.ended_at = CanaryState.ROLLED_BACK, timezone.now()
    canary.save()
    _write(canary, rules, "roll-back", initiator)


def _turn_remote(canary: CanaryDeployment, rules: Rules) -> None:
    shares.set_share(canary.service, "remote", Decimal(str(rules.steps[canary.step])))


def _turn_shadow_back(canary: CanaryDeployment) -> None:
    shares.set_share(canary.service, "shadow", canary.shadow_before)


def _write(
    canary: CanaryDeployment, rules: Rules, action: str, initiator: Initiator, *, ruled: tuple[str, str] | None = None
) -> None:
    """Write a line of its history: the share from now on, and the ruling that led to it, if there was one."""
    verdict, because = ruled or (canary.verdict, canary.judged_because)
    canary.entries.create(
        action=action,
        share=Decimal(str(rules.steps[canary.step])),
        who=initiator.who,
        reason=initiator.reason,
        evidence=canary.evidence,
        numbers=canary.numbers,
        **({"verdict": verdict, "judged_because": because} if canary.numbers else {}),
    )
